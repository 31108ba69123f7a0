CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE allowed_tools (
    team_id text NOT NULL,
    channel_id text NOT NULL,
    tool text NOT NULL,
    definition_hash text NOT NULL,
    allowed_by text NOT NULL,
    allowed_at double precision NOT NULL
);
CREATE TABLE audit_entries (
    id bigint NOT NULL,
    at double precision NOT NULL,
    kind text NOT NULL,
    team_id text NOT NULL,
    job_id bigint,
    facts text NOT NULL,
    user_id text NOT NULL,
    channel_id text NOT NULL,
    thread_ts text NOT NULL,
    ts text NOT NULL,
    arguments_hash text NOT NULL,
    by_id text NOT NULL
);
CREATE SEQUENCE audit_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE audit_entries_id_seq OWNED BY audit_entries.id;
CREATE TABLE canvases (
    job_id bigint NOT NULL,
    version integer NOT NULL,
    canvas_id text NOT NULL,
    message_ts text
);
CREATE TABLE caps (
    team_id text NOT NULL,
    scope text NOT NULL,
    scope_id text NOT NULL,
    period text NOT NULL,
    in_dollars boolean NOT NULL,
    amount double precision NOT NULL
);
CREATE TABLE channel_settings (
    team_id text NOT NULL,
    channel_id text NOT NULL,
    model text,
    system_prompt text NOT NULL,
    engagement text,
    new_posts boolean DEFAULT false NOT NULL,
    gate boolean DEFAULT false NOT NULL,
    web_search boolean,
    read_channel boolean,
    mcp_servers json DEFAULT '[]'::json NOT NULL,
    effort text DEFAULT 'normal'::text NOT NULL,
    length text DEFAULT 'normal'::text NOT NULL,
    reaction text DEFAULT ''::text NOT NULL
);
CREATE TABLE charges (
    id bigint NOT NULL,
    team_id text NOT NULL,
    channel_id text NOT NULL,
    user_id text NOT NULL,
    job_id bigint NOT NULL,
    day integer,
    model text,
    input_tokens integer DEFAULT 0 NOT NULL,
    output_tokens integer DEFAULT 0 NOT NULL,
    cached_input_tokens integer DEFAULT 0 NOT NULL,
    web_searches integer DEFAULT 0 NOT NULL,
    cost_usd double precision,
    worker text,
    attempt integer,
    step_no integer DEFAULT 0 NOT NULL,
    reserved_tokens integer DEFAULT 0 NOT NULL,
    reserved_usd double precision DEFAULT '0'::double precision NOT NULL
);
CREATE SEQUENCE charges_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE charges_id_seq OWNED BY charges.id;
CREATE TABLE checkpoints (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    version integer NOT NULL,
    attempt integer NOT NULL,
    start integer NOT NULL,
    text text NOT NULL,
    "end" json,
    sources json
);
CREATE SEQUENCE checkpoints_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE checkpoints_id_seq OWNED BY checkpoints.id;
CREATE TABLE feedback (
    job_id bigint NOT NULL,
    user_id text NOT NULL,
    value integer NOT NULL,
    model text,
    prompt_version text,
    at double precision NOT NULL
);
CREATE TABLE group_threads (
    team_id text NOT NULL,
    channel_id text NOT NULL,
    thread_ts text NOT NULL,
    since_ts text NOT NULL
);
CREATE TABLE jobs (
    id bigint NOT NULL,
    team_id text NOT NULL,
    channel_id text NOT NULL,
    thread_ts text NOT NULL,
    ts text,
    asked_as text,
    unposted json,
    user_id text NOT NULL,
    text text NOT NULL,
    files json DEFAULT '[]'::json NOT NULL,
    transcripts json DEFAULT '{}'::json NOT NULL,
    from_bot boolean DEFAULT false NOT NULL,
    attached_chars integer DEFAULT 0 NOT NULL,
    offered boolean DEFAULT false NOT NULL,
    created_at double precision NOT NULL,
    status text NOT NULL,
    end_reason text,
    worker text,
    attempts integer DEFAULT 0 NOT NULL,
    interruptions integer DEFAULT 0 NOT NULL,
    started_at double precision,
    messages json DEFAULT '[]'::json NOT NULL,
    placeholder_due_since double precision,
    answered_with bigint,
    joined_step integer,
    version integer DEFAULT 0 NOT NULL,
    asked_at double precision,
    shown_turn bigint,
    edited_ts text,
    continues boolean DEFAULT false NOT NULL,
    effort text,
    stop_requested boolean DEFAULT false NOT NULL,
    erase_requested boolean DEFAULT false NOT NULL,
    answer_deleted boolean DEFAULT false NOT NULL,
    waits_until double precision,
    mention_ts text,
    ask_ts text
);
CREATE SEQUENCE jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE jobs_id_seq OWNED BY jobs.id;
CREATE TABLE learned_budgets (
    budget text NOT NULL,
    calls double precision NOT NULL,
    learned_at double precision NOT NULL,
    held_until double precision NOT NULL
);
CREATE TABLE listening (
    team_id text NOT NULL,
    heard_at double precision NOT NULL,
    missed_from double precision,
    missed_until double precision,
    held_by text,
    held_until double precision,
    progress json DEFAULT '{}'::json NOT NULL,
    report json
);
CREATE TABLE notices (
    team_id text NOT NULL,
    user_id text NOT NULL,
    notice text NOT NULL,
    given_at double precision NOT NULL
);
CREATE TABLE outbox_entries (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    kind text NOT NULL,
    about text DEFAULT ''::text NOT NULL,
    due_at double precision NOT NULL,
    tries integer DEFAULT 0 NOT NULL
);
CREATE SEQUENCE outbox_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE outbox_entries_id_seq OWNED BY outbox_entries.id;
CREATE TABLE pane_contexts (
    team_id text NOT NULL,
    user_id text NOT NULL,
    channel_id text NOT NULL,
    opened_at double precision NOT NULL
);
CREATE TABLE quiet_threads (
    team_id text NOT NULL,
    channel_id text NOT NULL,
    thread_ts text NOT NULL,
    quiet boolean NOT NULL,
    switched_ts text NOT NULL
);
CREATE TABLE seen_events (
    event_id text NOT NULL,
    seen_at double precision NOT NULL
);
CREATE TABLE slack_calls (
    id bigint NOT NULL,
    method text NOT NULL,
    worker text NOT NULL,
    sent_at double precision NOT NULL
);
CREATE SEQUENCE slack_calls_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE slack_calls_id_seq OWNED BY slack_calls.id;
CREATE TABLE steps (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    version integer NOT NULL,
    step_no integer NOT NULL,
    text text NOT NULL,
    items text NOT NULL,
    model text NOT NULL,
    origins json
);
CREATE SEQUENCE steps_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE steps_id_seq OWNED BY steps.id;
CREATE TABLE thread_lines (
    team_id text NOT NULL,
    channel_id text NOT NULL,
    thread_ts text NOT NULL,
    ts text NOT NULL,
    user_id text NOT NULL
);
CREATE TABLE tool_calls (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    version integer NOT NULL,
    step_no integer NOT NULL,
    index integer NOT NULL,
    call_id text NOT NULL,
    tool text NOT NULL,
    arguments text NOT NULL,
    definition_hash text NOT NULL,
    binding text NOT NULL,
    read_only boolean NOT NULL,
    state text NOT NULL,
    decision text,
    decided_by text DEFAULT ''::text NOT NULL,
    result text DEFAULT ''::text NOT NULL,
    result_is_error boolean DEFAULT false NOT NULL,
    created_at double precision NOT NULL,
    begun_at double precision,
    ended_at double precision
);
CREATE SEQUENCE tool_calls_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE tool_calls_id_seq OWNED BY tool_calls.id;
CREATE TABLE tool_pins (
    tool text NOT NULL,
    definition_hash text NOT NULL,
    definition text NOT NULL,
    by_admin boolean DEFAULT false NOT NULL
);
CREATE TABLE turns (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    answer text NOT NULL,
    model text,
    end_reason text NOT NULL,
    charge_id bigint,
    first_token_s double precision,
    prompt_version text,
    sources json,
    origins json,
    below json,
    created_at double precision NOT NULL
);
CREATE SEQUENCE turns_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE turns_id_seq OWNED BY turns.id;
CREATE TABLE workers (
    worker text NOT NULL,
    beat bigint NOT NULL,
    has_lock boolean NOT NULL,
    seen_at double precision NOT NULL
);
ALTER TABLE ONLY audit_entries ALTER COLUMN id SET DEFAULT nextval('audit_entries_id_seq'::regclass);
ALTER TABLE ONLY charges ALTER COLUMN id SET DEFAULT nextval('charges_id_seq'::regclass);
ALTER TABLE ONLY checkpoints ALTER COLUMN id SET DEFAULT nextval('checkpoints_id_seq'::regclass);
ALTER TABLE ONLY jobs ALTER COLUMN id SET DEFAULT nextval('jobs_id_seq'::regclass);
ALTER TABLE ONLY outbox_entries ALTER COLUMN id SET DEFAULT nextval('outbox_entries_id_seq'::regclass);
ALTER TABLE ONLY slack_calls ALTER COLUMN id SET DEFAULT nextval('slack_calls_id_seq'::regclass);
ALTER TABLE ONLY steps ALTER COLUMN id SET DEFAULT nextval('steps_id_seq'::regclass);
ALTER TABLE ONLY tool_calls ALTER COLUMN id SET DEFAULT nextval('tool_calls_id_seq'::regclass);
ALTER TABLE ONLY turns ALTER COLUMN id SET DEFAULT nextval('turns_id_seq'::regclass);
INSERT INTO alembic_version VALUES ('0001');
INSERT INTO audit_entries VALUES (1, 1795613426.200033, 'question', 'T0SANDBOX', 1, '{}', 'U0ADA', 'C0GENERAL', '1795613426.193199', '1795613426.193199', '', '');
INSERT INTO audit_entries VALUES (2, 1795613426.3843856, 'question', 'T0SANDBOX', 2, '{}', 'U0ADA', 'C0GENERAL', '1795613426.379886', '1795613426.379886', '', '');
INSERT INTO audit_entries VALUES (3, 1795613426.3910086, 'answer', 'T0SANDBOX', 1, '{"end":"whole","input_tokens":12,"model":"openai/test","output_tokens":4,"prompt_version":"7cef5edf"}', 'U0ADA', 'C0GENERAL', '1795613426.193199', '1795613426.193199', '', '');
INSERT INTO audit_entries VALUES (4, 1795613427.0209427, 'question', 'T0SANDBOX', 3, '{}', 'U0ADA', 'C0GENERAL', '1795613427.016344', '1795613427.016344', '', '');
INSERT INTO audit_entries VALUES (5, 1795613428.2292702, 'question', 'T0SANDBOX', 4, '{}', 'U0ADA', 'C0GENERAL', '1795613426.379886', '1795613428.211236', '', '');
INSERT INTO charges VALUES (1, 'T0SANDBOX', 'C0GENERAL', 'U0ADA', 1, 20782, 'openai/test', 12, 4, 0, 0, NULL, 'older-worker', 1, 0, 0, 0);
INSERT INTO charges VALUES (2, 'T0SANDBOX', 'C0GENERAL', 'U0ADA', 2, NULL, 'openai/test', 927, 24, 0, 0, NULL, 'older-worker', 1, 0, 0, 0);
INSERT INTO charges VALUES (3, 'T0SANDBOX', 'C0GENERAL', 'U0ADA', 3, NULL, 'openai/test', 927, 48, 0, 0, NULL, 'older-worker', 1, 0, 0, 0);
INSERT INTO checkpoints VALUES (2, 2, 0, 1, 0, 'word0 word1 word', NULL, NULL);
INSERT INTO checkpoints VALUES (3, 2, 0, 1, 16, '2 word3 word4 word5 word6 word7 word8 word9 word10 word11 word12 word13 word14 w', NULL, NULL);
INSERT INTO checkpoints VALUES (4, 3, 0, 1, 0, 'word0 word1 word', NULL, NULL);
INSERT INTO checkpoints VALUES (5, 3, 0, 1, 16, '2 word3 word4 word5 word6 word7 word8 word9 word10 word11 word12', NULL, NULL);
INSERT INTO checkpoints VALUES (6, 3, 0, 1, 80, ' word13 word14 word15 word16 word17 word18 word19 word20 word21 word22 word23 word24 word25 word26 word27 word28', NULL, NULL);
INSERT INTO jobs VALUES (1, 'T0SANDBOX', 'C0GENERAL', '1795613426.193199', '1795613426.193199', NULL, NULL, 'U0ADA', '<@U0BOT> one?', '[]', '{}', false, 0, false, 1795613426.200033, 'ended', 'whole', 'older-worker', 1, 0, 1795613426.2254515, '[{"ts": "1795613426.304464", "role": "page", "version": 0, "for_stream": false}]', NULL, NULL, NULL, 0, NULL, NULL, NULL, false, NULL, false, false, false, NULL, NULL, NULL);
INSERT INTO jobs VALUES (2, 'T0SANDBOX', 'C0GENERAL', '1795613426.379886', '1795613426.379886', NULL, NULL, 'U0ADA', '<@U0BOT> two?', '[]', '{}', false, 0, false, 1795613426.3843856, 'running', NULL, 'older-worker', 1, 0, 1795613426.4090054, '[{"ts": "1795613426.453893", "role": "page", "version": 0, "for_stream": false}]', NULL, NULL, NULL, 0, NULL, NULL, NULL, false, NULL, false, false, false, NULL, NULL, NULL);
INSERT INTO jobs VALUES (3, 'T0SANDBOX', 'C0GENERAL', '1795613427.016344', '1795613427.016344', NULL, NULL, 'U0ADA', '<@U0BOT> three?', '[]', '{}', false, 0, false, 1795613427.0209427, 'running', NULL, 'older-worker', 1, 0, 1795613427.034295, '[{"ts": "1795613427.063353", "role": "page", "version": 0, "for_stream": false}]', NULL, NULL, NULL, 0, NULL, NULL, NULL, false, NULL, false, false, false, NULL, NULL, NULL);
INSERT INTO jobs VALUES (4, 'T0SANDBOX', 'C0GENERAL', '1795613426.379886', '1795613428.211236', NULL, NULL, 'U0ADA', '<@U0BOT> four?', '[]', '{}', false, 0, false, 1795613428.2292702, 'queued', NULL, NULL, 0, 0, NULL, '[{"ts": "1795613428.256426", "role": "page", "version": 0, "for_stream": false}]', NULL, NULL, NULL, 0, NULL, NULL, NULL, false, NULL, false, false, false, NULL, NULL, NULL);
INSERT INTO listening VALUES ('T0SANDBOX', 1795613428.2572398, NULL, NULL, NULL, NULL, '{}', NULL);
INSERT INTO seen_events VALUES ('Ev0000000001', 1795613426.200033);
INSERT INTO seen_events VALUES ('Ev0000000002', 1795613426.200033);
INSERT INTO seen_events VALUES ('Ev0000000005', 1795613426.3843856);
INSERT INTO seen_events VALUES ('Ev0000000006', 1795613426.3843856);
INSERT INTO seen_events VALUES ('Ev0000000010', 1795613427.0209427);
INSERT INTO seen_events VALUES ('Ev0000000011', 1795613427.0209427);
INSERT INTO seen_events VALUES ('Ev0000000016', 1795613428.2292702);
INSERT INTO seen_events VALUES ('Ev0000000015', 1795613428.2383807);
INSERT INTO slack_calls VALUES (1, 'users.info', 'older-worker', 1795613426.2543375);
INSERT INTO slack_calls VALUES (2, 'posts C0GENERAL', 'older-worker', 1795613426.2794788);
INSERT INTO slack_calls VALUES (3, 'chat.postMessage', 'older-worker', 1795613426.291273);
INSERT INTO slack_calls VALUES (4, 'chat.update', 'older-worker', 1795613426.370502);
INSERT INTO slack_calls VALUES (5, 'posts C0GENERAL', 'older-worker', 1795613426.4343023);
INSERT INTO slack_calls VALUES (6, 'chat.postMessage', 'older-worker', 1795613426.4435399);
INSERT INTO slack_calls VALUES (7, 'chat.update', 'older-worker', 1795613426.5073624);
INSERT INTO slack_calls VALUES (8, 'chat.update', 'older-worker', 1795613427.0083113);
INSERT INTO slack_calls VALUES (9, 'posts C0GENERAL', 'older-worker', 1795613427.049791);
INSERT INTO slack_calls VALUES (10, 'chat.postMessage', 'older-worker', 1795613427.0557728);
INSERT INTO slack_calls VALUES (11, 'chat.update', 'older-worker', 1795613427.1169064);
INSERT INTO slack_calls VALUES (12, 'chat.update', 'older-worker', 1795613428.2035403);
INSERT INTO slack_calls VALUES (13, 'posts C0GENERAL', 'older-worker', 1795613428.2472038);
INSERT INTO slack_calls VALUES (14, 'chat.postMessage', 'older-worker', 1795613428.2516098);
INSERT INTO turns VALUES (1, 1, 'The first one.', 'openai/test', 'whole', 1, 0.11332424099998661, '7cef5edf', NULL, '["askers"]', '{"notice": "", "footer": "test", "effort": ""}', 1795613426.3910086);
INSERT INTO workers VALUES ('older-worker', 8, true, 1795613430.2974901);
SELECT setval('audit_entries_id_seq', 5, true);
SELECT setval('charges_id_seq', 3, true);
SELECT setval('checkpoints_id_seq', 6, true);
SELECT setval('jobs_id_seq', 5, true);
SELECT setval('outbox_entries_id_seq', 1, false);
SELECT setval('slack_calls_id_seq', 14, true);
SELECT setval('steps_id_seq', 1, false);
SELECT setval('tool_calls_id_seq', 1, false);
SELECT setval('turns_id_seq', 1, true);
ALTER TABLE ONLY alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY allowed_tools
    ADD CONSTRAINT pk_allowed_tools PRIMARY KEY (team_id, channel_id, tool);
ALTER TABLE ONLY audit_entries
    ADD CONSTRAINT pk_audit_entries PRIMARY KEY (id);
ALTER TABLE ONLY canvases
    ADD CONSTRAINT pk_canvases PRIMARY KEY (job_id, version);
ALTER TABLE ONLY caps
    ADD CONSTRAINT pk_caps PRIMARY KEY (team_id, scope, scope_id, period, in_dollars);
ALTER TABLE ONLY channel_settings
    ADD CONSTRAINT pk_channel_settings PRIMARY KEY (team_id, channel_id);
ALTER TABLE ONLY charges
    ADD CONSTRAINT pk_charges PRIMARY KEY (id);
ALTER TABLE ONLY checkpoints
    ADD CONSTRAINT pk_checkpoints PRIMARY KEY (id);
ALTER TABLE ONLY feedback
    ADD CONSTRAINT pk_feedback PRIMARY KEY (job_id, user_id);
ALTER TABLE ONLY group_threads
    ADD CONSTRAINT pk_group_threads PRIMARY KEY (team_id, channel_id, thread_ts);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);
ALTER TABLE ONLY learned_budgets
    ADD CONSTRAINT pk_learned_budgets PRIMARY KEY (budget);
ALTER TABLE ONLY listening
    ADD CONSTRAINT pk_listening PRIMARY KEY (team_id);
ALTER TABLE ONLY notices
    ADD CONSTRAINT pk_notices PRIMARY KEY (team_id, user_id, notice);
ALTER TABLE ONLY outbox_entries
    ADD CONSTRAINT pk_outbox_entries PRIMARY KEY (id);
ALTER TABLE ONLY pane_contexts
    ADD CONSTRAINT pk_pane_contexts PRIMARY KEY (team_id, user_id);
ALTER TABLE ONLY quiet_threads
    ADD CONSTRAINT pk_quiet_threads PRIMARY KEY (team_id, channel_id, thread_ts);
ALTER TABLE ONLY seen_events
    ADD CONSTRAINT pk_seen_events PRIMARY KEY (event_id);
ALTER TABLE ONLY slack_calls
    ADD CONSTRAINT pk_slack_calls PRIMARY KEY (id);
ALTER TABLE ONLY steps
    ADD CONSTRAINT pk_steps PRIMARY KEY (id);
ALTER TABLE ONLY thread_lines
    ADD CONSTRAINT pk_thread_lines PRIMARY KEY (team_id, channel_id, thread_ts, ts);
ALTER TABLE ONLY tool_calls
    ADD CONSTRAINT pk_tool_calls PRIMARY KEY (id);
ALTER TABLE ONLY tool_pins
    ADD CONSTRAINT pk_tool_pins PRIMARY KEY (tool);
ALTER TABLE ONLY turns
    ADD CONSTRAINT pk_turns PRIMARY KEY (id);
ALTER TABLE ONLY workers
    ADD CONSTRAINT pk_workers PRIMARY KEY (worker);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT uq_jobs_team_id_asked_as UNIQUE (team_id, asked_as);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT uq_jobs_team_id_channel_id_ts UNIQUE (team_id, channel_id, ts);
ALTER TABLE ONLY outbox_entries
    ADD CONSTRAINT uq_outbox_entries_job_id_kind_about UNIQUE (job_id, kind, about);
ALTER TABLE ONLY steps
    ADD CONSTRAINT uq_steps_job_id_version_step_no UNIQUE (job_id, version, step_no);
ALTER TABLE ONLY tool_calls
    ADD CONSTRAINT uq_tool_calls_job_id_version_step_no_index UNIQUE (job_id, version, step_no, index);
CREATE INDEX ix_audit_entries_at ON audit_entries USING btree (at);
CREATE INDEX ix_audit_entries_by_id ON audit_entries USING btree (by_id) WHERE (by_id <> ''::text);
CREATE INDEX ix_audit_entries_thread ON audit_entries USING btree (channel_id, thread_ts);
CREATE INDEX ix_audit_entries_user_id ON audit_entries USING btree (user_id);
CREATE INDEX ix_charges_channel ON charges USING btree (team_id, channel_id, day, input_tokens, output_tokens, cost_usd) WHERE (day IS NOT NULL);
CREATE INDEX ix_charges_day ON charges USING btree (day) WHERE (day IS NOT NULL);
CREATE UNIQUE INDEX ix_charges_open ON charges USING btree (job_id) WHERE (day IS NULL);
CREATE INDEX ix_charges_user ON charges USING btree (team_id, user_id, day, input_tokens, output_tokens, cost_usd) WHERE (day IS NOT NULL);
CREATE INDEX ix_charges_workspace ON charges USING btree (team_id, day, input_tokens, output_tokens, cost_usd) WHERE (day IS NOT NULL);
CREATE INDEX ix_checkpoints_job_id ON checkpoints USING btree (job_id);
CREATE INDEX ix_jobs_answered_with ON jobs USING btree (answered_with);
CREATE INDEX ix_jobs_awaiting_approval ON jobs USING btree (waits_until) WHERE (status = 'awaiting_approval'::text);
CREATE INDEX ix_jobs_content ON jobs USING btree (created_at) WHERE ((text <> ''::text) OR ((files)::text <> '[]'::text));
CREATE INDEX ix_jobs_created_at ON jobs USING btree (created_at);
CREATE INDEX ix_jobs_from_bot ON jobs USING btree (team_id, user_id, created_at) WHERE from_bot;
CREATE INDEX ix_jobs_queued ON jobs USING btree (id) WHERE (status = 'queued'::text);
CREATE INDEX ix_jobs_queued_thread ON jobs USING btree (team_id, channel_id, thread_ts, ts) WHERE (status = 'queued'::text);
CREATE INDEX ix_jobs_queued_user ON jobs USING btree (team_id, user_id) WHERE (status = 'queued'::text);
CREATE UNIQUE INDEX ix_jobs_running_thread ON jobs USING btree (team_id, channel_id, thread_ts) WHERE (status = 'running'::text);
CREATE INDEX ix_jobs_running_user ON jobs USING btree (team_id, user_id) WHERE (status = 'running'::text);
CREATE INDEX ix_jobs_running_worker ON jobs USING btree (worker) WHERE (status = 'running'::text);
CREATE INDEX ix_jobs_thread ON jobs USING btree (team_id, channel_id, thread_ts, ts);
CREATE INDEX ix_jobs_unposted ON jobs USING btree (created_at) WHERE (status = 'unposted'::text);
CREATE INDEX ix_outbox_entries_due_at ON outbox_entries USING btree (due_at);
CREATE INDEX ix_seen_events_seen_at ON seen_events USING btree (seen_at);
CREATE INDEX ix_slack_calls_method ON slack_calls USING btree (method, sent_at);
CREATE INDEX ix_tool_calls_content ON tool_calls USING btree (created_at) WHERE ((arguments <> ''::text) OR (result <> ''::text));
CREATE INDEX ix_tool_calls_created_at ON tool_calls USING btree (created_at);
CREATE INDEX ix_turns_content ON turns USING btree (created_at) WHERE (answer <> ''::text);
CREATE INDEX ix_turns_created_at ON turns USING btree (created_at);
CREATE INDEX ix_turns_job_id ON turns USING btree (job_id);
ALTER TABLE ONLY canvases
    ADD CONSTRAINT fk_canvases_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY checkpoints
    ADD CONSTRAINT fk_checkpoints_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY feedback
    ADD CONSTRAINT fk_feedback_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY outbox_entries
    ADD CONSTRAINT fk_outbox_entries_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY steps
    ADD CONSTRAINT fk_steps_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY tool_calls
    ADD CONSTRAINT fk_tool_calls_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY turns
    ADD CONSTRAINT fk_turns_job_id FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE;
