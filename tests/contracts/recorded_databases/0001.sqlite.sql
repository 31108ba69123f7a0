BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE allowed_tools (
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	tool TEXT NOT NULL,
	definition_hash TEXT NOT NULL,
	allowed_by TEXT NOT NULL,
	allowed_at DOUBLE NOT NULL,
	CONSTRAINT pk_allowed_tools PRIMARY KEY (team_id, channel_id, tool)
);
CREATE TABLE audit_entries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at DOUBLE NOT NULL,
	kind TEXT NOT NULL,
	team_id TEXT NOT NULL,
	job_id INTEGER,
	facts TEXT NOT NULL,
	user_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	thread_ts TEXT NOT NULL,
	ts TEXT NOT NULL,
	arguments_hash TEXT NOT NULL,
	by_id TEXT NOT NULL
);
INSERT INTO "audit_entries" VALUES(1,1.79561341977461719513e+09,'question','T0SANDBOX',1,'{}','U0ADA','C0GENERAL','1795613419.744257','1795613419.744257','','');
INSERT INTO "audit_entries" VALUES(2,1.7956134200030851364e+09,'question','T0SANDBOX',2,'{}','U0ADA','C0GENERAL','1795613419.988627','1795613419.988627','','');
INSERT INTO "audit_entries" VALUES(3,1.79561342000204014778e+09,'answer','T0SANDBOX',1,'{"end":"whole","input_tokens":12,"model":"openai/test","output_tokens":4,"prompt_version":"7cef5edf"}','U0ADA','C0GENERAL','1795613419.744257','1795613419.744257','','');
INSERT INTO "audit_entries" VALUES(4,1.79561342064039850237e+09,'question','T0SANDBOX',3,'{}','U0ADA','C0GENERAL','1795613420.636055','1795613420.636055','','');
INSERT INTO "audit_entries" VALUES(5,1795613421.83725,'question','T0SANDBOX',4,'{}','U0ADA','C0GENERAL','1795613419.988627','1795613421.817446','','');
CREATE TABLE canvases (
	job_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	canvas_id TEXT NOT NULL,
	message_ts TEXT,
	CONSTRAINT pk_canvases PRIMARY KEY (job_id, version),
	CONSTRAINT fk_canvases_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE caps (
	team_id TEXT NOT NULL,
	scope TEXT NOT NULL,
	scope_id TEXT NOT NULL,
	period TEXT NOT NULL,
	in_dollars BOOLEAN NOT NULL,
	amount DOUBLE NOT NULL,
	CONSTRAINT pk_caps PRIMARY KEY (team_id, scope, scope_id, period, in_dollars)
);
CREATE TABLE channel_settings (
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	model TEXT,
	system_prompt TEXT NOT NULL,
	engagement TEXT,
	new_posts BOOLEAN DEFAULT 0 NOT NULL,
	gate BOOLEAN DEFAULT 0 NOT NULL,
	web_search BOOLEAN,
	read_channel BOOLEAN,
	mcp_servers JSON DEFAULT '[]' NOT NULL,
	effort TEXT DEFAULT 'normal' NOT NULL,
	length TEXT DEFAULT 'normal' NOT NULL,
	reaction TEXT DEFAULT '' NOT NULL,
	CONSTRAINT pk_channel_settings PRIMARY KEY (team_id, channel_id)
);
CREATE TABLE charges (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	job_id INTEGER NOT NULL,
	day INTEGER,
	model TEXT,
	input_tokens INTEGER DEFAULT '0' NOT NULL,
	output_tokens INTEGER DEFAULT '0' NOT NULL,
	cached_input_tokens INTEGER DEFAULT '0' NOT NULL,
	web_searches INTEGER DEFAULT '0' NOT NULL,
	cost_usd DOUBLE,
	worker TEXT,
	attempt INTEGER,
	step_no INTEGER DEFAULT '0' NOT NULL,
	reserved_tokens INTEGER DEFAULT '0' NOT NULL,
	reserved_usd DOUBLE DEFAULT '0' NOT NULL
);
INSERT INTO "charges" VALUES(1,'T0SANDBOX','C0GENERAL','U0ADA',1,20782,'openai/test',12,4,0,0,NULL,'older-worker',1,0,0,0.0);
INSERT INTO "charges" VALUES(2,'T0SANDBOX','C0GENERAL','U0ADA',2,NULL,'openai/test',927,24,0,0,NULL,'older-worker',1,0,0,0.0);
INSERT INTO "charges" VALUES(3,'T0SANDBOX','C0GENERAL','U0ADA',3,NULL,'openai/test',927,48,0,0,NULL,'older-worker',1,0,0,0.0);
CREATE TABLE checkpoints (
	id INTEGER NOT NULL,
	job_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	start INTEGER NOT NULL,
	text TEXT NOT NULL,
	"end" JSON,
	sources JSON,
	CONSTRAINT pk_checkpoints PRIMARY KEY (id),
	CONSTRAINT fk_checkpoints_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "checkpoints" VALUES(1,2,0,1,0,'word0 word1 word',NULL,NULL);
INSERT INTO "checkpoints" VALUES(2,2,0,1,16,'2 word3 word4 word5 word6 word7 word8 word9 word10 word11 word12 word13 word14 w',NULL,NULL);
INSERT INTO "checkpoints" VALUES(3,3,0,1,0,'word0 word1 word',NULL,NULL);
INSERT INTO "checkpoints" VALUES(4,3,0,1,16,'2 word3 word4 word5 word6 word7 word8 word9 word10 word11 word12 word13 word14 word15 word16 word17 word18 word19 word20 word21 word22 word23 word24 word25 word26 word27 word28',NULL,NULL);
CREATE TABLE feedback (
	job_id INTEGER NOT NULL,
	user_id TEXT NOT NULL,
	value INTEGER NOT NULL,
	model TEXT,
	prompt_version TEXT,
	at DOUBLE NOT NULL,
	CONSTRAINT pk_feedback PRIMARY KEY (job_id, user_id),
	CONSTRAINT fk_feedback_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE group_threads (
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	thread_ts TEXT NOT NULL,
	since_ts TEXT NOT NULL,
	CONSTRAINT pk_group_threads PRIMARY KEY (team_id, channel_id, thread_ts)
);
CREATE TABLE jobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	thread_ts TEXT NOT NULL,
	ts TEXT,
	asked_as TEXT,
	unposted JSON,
	user_id TEXT NOT NULL,
	text TEXT NOT NULL,
	files JSON DEFAULT '[]' NOT NULL,
	transcripts JSON DEFAULT '{}' NOT NULL,
	from_bot BOOLEAN DEFAULT 0 NOT NULL,
	attached_chars INTEGER DEFAULT '0' NOT NULL,
	offered BOOLEAN DEFAULT 0 NOT NULL,
	created_at DOUBLE NOT NULL,
	status TEXT NOT NULL,
	end_reason TEXT,
	worker TEXT,
	attempts INTEGER DEFAULT '0' NOT NULL,
	interruptions INTEGER DEFAULT '0' NOT NULL,
	started_at DOUBLE,
	messages JSON DEFAULT '[]' NOT NULL,
	placeholder_due_since DOUBLE,
	answered_with INTEGER,
	joined_step INTEGER,
	version INTEGER DEFAULT '0' NOT NULL,
	asked_at DOUBLE,
	shown_turn INTEGER,
	edited_ts TEXT,
	continues BOOLEAN DEFAULT 0 NOT NULL,
	effort TEXT,
	stop_requested BOOLEAN DEFAULT 0 NOT NULL,
	erase_requested BOOLEAN DEFAULT 0 NOT NULL,
	answer_deleted BOOLEAN DEFAULT 0 NOT NULL,
	waits_until DOUBLE,
	mention_ts TEXT,
	ask_ts TEXT,
	CONSTRAINT uq_jobs_team_id_channel_id_ts UNIQUE (team_id, channel_id, ts),
	CONSTRAINT uq_jobs_team_id_asked_as UNIQUE (team_id, asked_as)
);
INSERT INTO "jobs" VALUES(1,'T0SANDBOX','C0GENERAL','1795613419.744257','1795613419.744257',NULL,NULL,'U0ADA','<@U0BOT> one?','[]','{}',0,0,0,1.79561341977461719513e+09,'ended','whole','older-worker',1,0,1.79561341979266595836e+09,'[{"ts": "1795613419.853697", "role": "page", "version": 0, "for_stream": false}]',NULL,NULL,NULL,0,NULL,NULL,NULL,0,NULL,0,0,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'T0SANDBOX','C0GENERAL','1795613419.988627','1795613419.988627',NULL,NULL,'U0ADA','<@U0BOT> two?','[]','{}',0,0,0,1.7956134200030851364e+09,'running',NULL,'older-worker',1,0,1.79561342003646945949e+09,'[{"ts": "1795613420.071783", "role": "page", "version": 0, "for_stream": false}]',NULL,NULL,NULL,0,NULL,NULL,NULL,0,NULL,0,0,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(3,'T0SANDBOX','C0GENERAL','1795613420.636055','1795613420.636055',NULL,NULL,'U0ADA','<@U0BOT> three?','[]','{}',0,0,0,1.79561342064039850237e+09,'running',NULL,'older-worker',1,0,1.79561342064882206921e+09,'[{"ts": "1795613420.671869", "role": "page", "version": 0, "for_stream": false}]',NULL,NULL,NULL,0,NULL,NULL,NULL,0,NULL,0,0,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(4,'T0SANDBOX','C0GENERAL','1795613419.988627','1795613421.817446',NULL,NULL,'U0ADA','<@U0BOT> four?','[]','{}',0,0,0,1795613421.83725,'queued',NULL,NULL,0,0,NULL,'[{"ts": "1795613421.867341", "role": "page", "version": 0, "for_stream": false}]',NULL,NULL,NULL,0,NULL,NULL,NULL,0,NULL,0,0,0,NULL,NULL,NULL);
CREATE TABLE learned_budgets (
	budget TEXT NOT NULL,
	calls DOUBLE NOT NULL,
	learned_at DOUBLE NOT NULL,
	held_until DOUBLE NOT NULL,
	CONSTRAINT pk_learned_budgets PRIMARY KEY (budget)
);
CREATE TABLE listening (
	team_id TEXT NOT NULL,
	heard_at DOUBLE NOT NULL,
	missed_from DOUBLE,
	missed_until DOUBLE,
	held_by TEXT,
	held_until DOUBLE,
	progress JSON DEFAULT '{}' NOT NULL,
	report JSON,
	CONSTRAINT pk_listening PRIMARY KEY (team_id)
);
INSERT INTO "listening" VALUES('T0SANDBOX',1.79561342186904597277e+09,NULL,NULL,NULL,NULL,'{}',NULL);
CREATE TABLE notices (
	team_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	notice TEXT NOT NULL,
	given_at DOUBLE NOT NULL,
	CONSTRAINT pk_notices PRIMARY KEY (team_id, user_id, notice)
);
CREATE TABLE outbox_entries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	job_id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	about TEXT DEFAULT '' NOT NULL,
	due_at DOUBLE NOT NULL,
	tries INTEGER DEFAULT '0' NOT NULL,
	CONSTRAINT uq_outbox_entries_job_id_kind_about UNIQUE (job_id, kind, about),
	CONSTRAINT fk_outbox_entries_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE pane_contexts (
	team_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	opened_at DOUBLE NOT NULL,
	CONSTRAINT pk_pane_contexts PRIMARY KEY (team_id, user_id)
);
CREATE TABLE quiet_threads (
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	thread_ts TEXT NOT NULL,
	quiet BOOLEAN NOT NULL,
	switched_ts TEXT NOT NULL,
	CONSTRAINT pk_quiet_threads PRIMARY KEY (team_id, channel_id, thread_ts)
);
CREATE TABLE seen_events (
	event_id TEXT NOT NULL,
	seen_at DOUBLE NOT NULL,
	CONSTRAINT pk_seen_events PRIMARY KEY (event_id)
);
INSERT INTO "seen_events" VALUES('Ev0000000001',1.79561341977461719513e+09);
INSERT INTO "seen_events" VALUES('Ev0000000002',1.79561341977461719513e+09);
INSERT INTO "seen_events" VALUES('Ev0000000005',1.7956134200030851364e+09);
INSERT INTO "seen_events" VALUES('Ev0000000006',1.7956134200030851364e+09);
INSERT INTO "seen_events" VALUES('Ev0000000010',1.79561342064039850237e+09);
INSERT INTO "seen_events" VALUES('Ev0000000011',1.79561342064039850237e+09);
INSERT INTO "seen_events" VALUES('Ev0000000016',1795613421.83725);
INSERT INTO "seen_events" VALUES('Ev0000000015',1.79561342184955739969e+09);
CREATE TABLE slack_calls (
	id INTEGER NOT NULL,
	method TEXT NOT NULL,
	worker TEXT NOT NULL,
	sent_at DOUBLE NOT NULL,
	CONSTRAINT pk_slack_calls PRIMARY KEY (id)
);
INSERT INTO "slack_calls" VALUES(1,'users.info','older-worker',1.79561341981292653087e+09);
INSERT INTO "slack_calls" VALUES(2,'posts C0GENERAL','older-worker',1.79561341983863568304e+09);
INSERT INTO "slack_calls" VALUES(3,'chat.postMessage','older-worker',1.79561341984799170494e+09);
INSERT INTO "slack_calls" VALUES(4,'chat.update','older-worker',1.7956134199772543907e+09);
INSERT INTO "slack_calls" VALUES(5,'posts C0GENERAL','older-worker',1.79561342006013679507e+09);
INSERT INTO "slack_calls" VALUES(6,'chat.postMessage','older-worker',1.79561342006657934187e+09);
INSERT INTO "slack_calls" VALUES(7,'chat.update','older-worker',1.79561342013065123558e+09);
INSERT INTO "slack_calls" VALUES(8,'chat.update','older-worker',1.79561342063031363484e+09);
INSERT INTO "slack_calls" VALUES(9,'posts C0GENERAL','older-worker',1.79561342066310691834e+09);
INSERT INTO "slack_calls" VALUES(10,'chat.postMessage','older-worker',1.79561342066754436493e+09);
INSERT INTO "slack_calls" VALUES(11,'chat.update','older-worker',1.79561342072551774983e+09);
INSERT INTO "slack_calls" VALUES(12,'chat.update','older-worker',1.79561342180824017522e+09);
INSERT INTO "slack_calls" VALUES(13,'posts C0GENERAL','older-worker',1.79561342186068105693e+09);
INSERT INTO "slack_calls" VALUES(14,'chat.postMessage','older-worker',1.79561342186308646202e+09);
CREATE TABLE steps (
	id INTEGER NOT NULL,
	job_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	step_no INTEGER NOT NULL,
	text TEXT NOT NULL,
	items TEXT NOT NULL,
	model TEXT NOT NULL,
	origins JSON,
	CONSTRAINT pk_steps PRIMARY KEY (id),
	CONSTRAINT uq_steps_job_id_version_step_no UNIQUE (job_id, version, step_no),
	CONSTRAINT fk_steps_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE thread_lines (
	team_id TEXT NOT NULL,
	channel_id TEXT NOT NULL,
	thread_ts TEXT NOT NULL,
	ts TEXT NOT NULL,
	user_id TEXT NOT NULL,
	CONSTRAINT pk_thread_lines PRIMARY KEY (team_id, channel_id, thread_ts, ts)
);
CREATE TABLE tool_calls (
	id INTEGER NOT NULL,
	job_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	step_no INTEGER NOT NULL,
	"index" INTEGER NOT NULL,
	call_id TEXT NOT NULL,
	tool TEXT NOT NULL,
	arguments TEXT NOT NULL,
	definition_hash TEXT NOT NULL,
	binding TEXT NOT NULL,
	read_only BOOLEAN NOT NULL,
	state TEXT NOT NULL,
	decision TEXT,
	decided_by TEXT DEFAULT '' NOT NULL,
	result TEXT DEFAULT '' NOT NULL,
	result_is_error BOOLEAN DEFAULT 0 NOT NULL,
	created_at DOUBLE NOT NULL,
	begun_at DOUBLE,
	ended_at DOUBLE,
	CONSTRAINT pk_tool_calls PRIMARY KEY (id),
	CONSTRAINT uq_tool_calls_job_id_version_step_no_index UNIQUE (job_id, version, step_no, "index"),
	CONSTRAINT fk_tool_calls_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE tool_pins (
	tool TEXT NOT NULL,
	definition_hash TEXT NOT NULL,
	definition TEXT NOT NULL,
	by_admin BOOLEAN DEFAULT 0 NOT NULL,
	CONSTRAINT pk_tool_pins PRIMARY KEY (tool)
);
CREATE TABLE turns (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	job_id INTEGER NOT NULL,
	answer TEXT NOT NULL,
	model TEXT,
	end_reason TEXT NOT NULL,
	charge_id INTEGER,
	first_token_s DOUBLE,
	prompt_version TEXT,
	sources JSON,
	origins JSON,
	below JSON,
	created_at DOUBLE NOT NULL,
	CONSTRAINT fk_turns_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "turns" VALUES(1,1,'The first one.','openai/test','whole',1,1.55360932999997203296e-01,'7cef5edf',NULL,'["askers"]','{"notice": "", "footer": "test", "effort": ""}',1.79561342000204014778e+09);
CREATE TABLE workers (
	worker TEXT NOT NULL,
	beat BIGINT NOT NULL,
	has_lock BOOLEAN NOT NULL,
	seen_at DOUBLE NOT NULL,
	CONSTRAINT pk_workers PRIMARY KEY (worker)
);
INSERT INTO "workers" VALUES('older-worker',9,1,1.79561342476376771927e+09);
CREATE INDEX ix_seen_events_seen_at ON seen_events (seen_at);
CREATE INDEX ix_jobs_thread ON jobs (team_id, channel_id, thread_ts, ts);
CREATE INDEX ix_jobs_queued ON jobs (id) WHERE status = 'queued';
CREATE INDEX ix_jobs_queued_thread ON jobs (team_id, channel_id, thread_ts, ts) WHERE status = 'queued';
CREATE INDEX ix_jobs_from_bot ON jobs (team_id, user_id, created_at) WHERE from_bot = 1;
CREATE INDEX ix_jobs_awaiting_approval ON jobs (waits_until) WHERE status = 'awaiting_approval';
CREATE INDEX ix_jobs_queued_user ON jobs (team_id, user_id) WHERE status = 'queued';
CREATE INDEX ix_jobs_created_at ON jobs (created_at);
CREATE INDEX ix_jobs_running_worker ON jobs (worker) WHERE status = 'running';
CREATE INDEX ix_jobs_unposted ON jobs (created_at) WHERE status = 'unposted';
CREATE INDEX ix_jobs_answered_with ON jobs (answered_with);
CREATE INDEX ix_jobs_content ON jobs (created_at) WHERE text <> '' OR CAST(files AS TEXT) <> '[]';
CREATE UNIQUE INDEX ix_jobs_running_thread ON jobs (team_id, channel_id, thread_ts) WHERE status = 'running';
CREATE INDEX ix_jobs_running_user ON jobs (team_id, user_id) WHERE status = 'running';
CREATE INDEX ix_slack_calls_method ON slack_calls (method, sent_at);
CREATE UNIQUE INDEX ix_charges_open ON charges (job_id) WHERE day IS NULL;
CREATE INDEX ix_charges_user ON charges (team_id, user_id, day, input_tokens, output_tokens, cost_usd) WHERE day IS NOT NULL;
CREATE INDEX ix_charges_day ON charges (day) WHERE day IS NOT NULL;
CREATE INDEX ix_charges_workspace ON charges (team_id, day, input_tokens, output_tokens, cost_usd) WHERE day IS NOT NULL;
CREATE INDEX ix_charges_channel ON charges (team_id, channel_id, day, input_tokens, output_tokens, cost_usd) WHERE day IS NOT NULL;
CREATE INDEX ix_audit_entries_thread ON audit_entries (channel_id, thread_ts);
CREATE INDEX ix_audit_entries_by_id ON audit_entries (by_id) WHERE by_id <> '';
CREATE INDEX ix_audit_entries_at ON audit_entries (at);
CREATE INDEX ix_audit_entries_user_id ON audit_entries (user_id);
CREATE INDEX ix_turns_job_id ON turns (job_id);
CREATE INDEX ix_turns_content ON turns (created_at) WHERE answer <> '';
CREATE INDEX ix_turns_created_at ON turns (created_at);
CREATE INDEX ix_checkpoints_job_id ON checkpoints (job_id);
CREATE INDEX ix_tool_calls_created_at ON tool_calls (created_at);
CREATE INDEX ix_tool_calls_content ON tool_calls (created_at) WHERE arguments <> '' OR result <> '';
CREATE INDEX ix_outbox_entries_due_at ON outbox_entries (due_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',5);
INSERT INTO "sqlite_sequence" VALUES('audit_entries',5);
INSERT INTO "sqlite_sequence" VALUES('charges',3);
INSERT INTO "sqlite_sequence" VALUES('turns',1);
COMMIT;
