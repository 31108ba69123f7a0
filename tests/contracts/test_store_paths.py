"""What becomes of questions, answers, calls and entries: behaviors by name, each shown by a path (store_paths.py)."""

import pytest

from bot.store.claim import RESTART_PAUSE_S, RESTARTS_AT_ONCE
from tests.contracts.store_paths import paths_in, play

RESTARTS = "claim, edit 1, finish 1 -> no, " * (RESTARTS_AT_ONCE + 1)
"""So many that the next one has to wait."""

QUEUE = """
event and message are taken once
    ask 1 -> ready, ask 1 -> known, ask 1 again -> known, ask 3 again -> known, claim -> 1, claim -> none
same message in another channel or workspace is another one
    ask 1 -> ready, ask d1 -> ready, ask t1 -> ready
question is queued behind those before it in its thread
    ask 1 -> ready, ask 3 -> queued, ask d1 -> ready, claim -> 1+3 & d1, ask 5 -> queued, finish 3, claim -> 5,
    finish 5, ask 7 -> ready
question is queued behind a later one that was begun
    ask 3, claim, release 3, ask 1 -> queued
question waits a while for its placeholder
    ask 1 full posting -> queued, claim -> none, w2 claim -> none, pass_s 9, claim -> none, pass_s 1, claim -> 1
question waits for no placeholder that is not begun yet
    ask 1 full -> queued, w2 claim -> 1, post 1 -> no
placeholder is begun however late and again
    ask 1 full, pass_s 300, post 1 -> begun, w2 claim -> none, pass_s 9, post 1 -> begun, pass_s 9, claim -> none,
    w2 post 1 -> begun, announce 1, w2 claim -> 1
placeholder of a question that was claimed, ended or queued again is not begun
    ask 1 full, ask d1 full, claim, release 1, post 1 -> begun, post d1 -> no, ask 3 full, stop 3, post 3 -> no,
    ask t1, claim, finish t1, regenerate t1 full, post t1 earlier -> no, post t1 -> begun
placeholder may be posted once all earlier ones of its thread are recorded
    ask 0, stop 0, ask 1 full, ask 3 full, ask d1, can_post 1 -> yes, can_post 3 -> no, can_post d1 -> yes, post 1,
    can_post 3 -> no, announce 1, can_post 3 -> yes, ask 5, can_post 5 -> no
placeholder of a regenerated answer is recorded until the answer is claimed
    ask 1, claim, pages 1, finish 1, regenerate 1 full, announce 1, claim -> 1v1, announce 1, release 1, claim -> 1v1
later question does not overtake one without a placeholder
    ask 1 full posting, ask 3 shown -> queued, claim -> none, announce 1, claim -> 1+3
questions of a thread are claimed together in the order of writing
    ask 5, ask 1, ask 3, claim -> 1+3+5, claim -> none
main conversation of a direct message is one thread
    ask d1, ask d3, claim -> d1+d3, claim -> none
batch has one asker
    ask 1, ask 3, ask 4, ask 6, ask 7, claim -> 1+3, finish 3, claim -> 4+6, finish 6, claim -> 7
questions of one asker around another's are no batch
    ask 2, ask 3, ask 4, claim -> 2, finish 2, claim -> 3, finish 3, claim -> 4
questions behind a running one stay while those of another thread are answered together
    ask 1, claim -> 1, ask 3, ask d2, ask d4, claim -> d2+d4, finish 1, claim -> 3
claim takes the oldest
    ask 1, ask d2, ask t1, claim 2 -> 1 & d2, claim 0 -> none, claim 2 -> t1
released job is claimed first and alone
    ask 3, claim, pages 3, release 3, ask 5, ask 1, w2 claim -> 3
job ends once and its thread goes on
    ask 1, claim, ask 3, finish 1 stopped -> yes, finish 1 -> no, claim -> 3
attempt that released its job can no longer change it
    ask 1, claim, release 1 -> yes, release 1 -> no, finish 1 -> no, w2 claim -> 1, beat 1 late -> lost,
    finish 1 late -> no, beat 1 -> ours, finish 1 -> yes, beat 1 -> lost
failure of the model counts once like the death of a worker
    ask 1, claim, release 1 interrupted -> yes, release 1 interrupted -> no, claim -> 1, release 1 interrupted,
    w2 claim -> 1
stop reaches the worker and survives a hand-over
    ask 1, ask d2, claim -> 1 & d2, w2 stop 1 -> yes, beat d2 -> ours, beat 1 -> stop, release 1, w2 claim -> 1,
    beat 1 -> stop
stopped question ends in the queue and its thread goes on
    ask 1, ask 3, stop 1 -> yes, claim -> 3, finish 3, stop 3 -> no
"""
EDITS = f"""
queued question is answered in its newest text and late edits are ignored
    ask 1, edit 1 -> yes, edit 1 late -> yes, claim -> 1
late edit does not undo an edit back to the first text
    ask 1, edit 1 back, edit 1 late, claim -> 1
second edit in the same second counts
    ask 1, edit 1, edit 1 same again, claim -> 1
edit of a queued question offers no other answer
    ask 1, edit 1, claim, finish 1, outbox -> none
edit of a stopped question offers no other answer
    ask 1, claim, stop 1, edit 1, finish 1, outbox -> none
edit of a running question restarts its answer in its messages
    ask 1, claim, pages 1, w2 edit 1, beat 1 -> restart, release 1, w2 claim -> 1v1, beat 1 -> ours
outdated answer does not end the job and is kept
    ask 1, claim, pages 1, edit 1, finish 1 -> no, claim -> 1v1, finish 1 -> yes, outbox -> none
edit after the answer starts over
    ask 1, claim, finish 1, edit 1, outbox -> none, claim -> 1v1
edit after the answer starts over if an earlier question came since
    ask 3, claim, finish 3, ask 1, claim, finish 1, edit 3, claim -> 3v1
edit of a question that was never answered is not told
    ask 1, stop 1, ask 3, edit 1, outbox -> none, claim -> 3
edit is only told if another question came since
    ask 1, claim, finish 1, ask 3, claim, finish 3, edit 1, outbox -> end, claim -> none
edit is only told if somebody else has written since
    ask 1, claim, finish 1, message U1 2 -> takes_part others, edit 1, outbox -> end
edit starts over if others have written before the question alone
    group 0, ask 1, claim, finish 1, edit 1, outbox -> none, claim -> 1v1
edit is only told if somebody else's line came since
    ask 1, claim, finish 1, line U1 2, edit 1, outbox -> end
edit starts over if the asker has written since
    ask 1, claim, finish 1, message U2 2 -> takes_part, line U2 2, edit 1, outbox -> none, claim -> 1v1
edit of a batched question restarts the batch and offers no other answer
    ask 1, ask 3, claim -> 1+3, edit 1, beat 3 -> restart, outbox -> none
edit of an answered batched question starts over
    ask 1, ask 3, claim, finish 3 mention, ask d5, edit 1, claim -> 1+3v1 & d5
edit of an answered batched question is nothing once the newest one is deleted
    ask 1, ask 3, claim, finish 3, delete 3, edit 1, claim -> none
edit of a follow-up starts over with it known from the start
    ask 1, claim, step 1 ready, ask 3, follow 1 -> 3, edit 3, finish 1 -> no, claim -> 1+3v1
edit after a stop does not restart the answer
    ask 1, claim, stop 1, edit 1, beat 1 -> stop, finish 1 stopped -> yes, claim -> none
edit after a stop does not restart a handed over answer
    ask 1, claim, stop 1, release 1, edit 1, claim -> 1, beat 1 -> stop, finish 1 stopped -> yes, claim -> none
edit of a message of somebody without access is none
    ask 1, claim, finish 1 denied, edit 1 -> no, delete 1 -> no, outbox -> none
edit drops the text so far
    ask 1, claim, write 1, edit 1, write 1, release 1, claim -> 1v1, release 1
asker waits for a new version since the edit
    ask 1, claim, finish 1, pass_s 60, regenerate 1, claim, pass_s 60, edit 1, release 1, claim -> 1v2
question that is edited again and again starts over with a pause
    ask 1, {RESTARTS}claim -> none, pass_s {RESTART_PAUSE_S}, claim -> 1v{RESTARTS_AT_ONCE + 1}
question that was edited again and again and is stopped ends without a pause
    ask 1, {RESTARTS}claim -> none, stop 1, claim -> 1v{RESTARTS_AT_ONCE + 1}
"""
DELETIONS = """
question that arrives after its deletion is not asked
    delete 1 -> no, delete 1 -> no, ask 1 -> known, ask 1 again -> known, ask d1 -> ready, ask 3 -> ready,
    claim -> d1 & 3
deleted queued question is not answered
    ask 1 full shown, delete 1 -> yes, delete 1 -> no, claim -> none, outbox -> no_placeholder,
    regenerate 1 -> no, edit 1 -> no
deleted running question stops and its batched questions do not
    ask 1, ask 3, claim -> 1+3, delete 3 -> yes, beat 3 -> stop, outbox -> none, finish 3 stopped,
    outbox -> unless_followed, claim -> 1
deleting a batched question restarts the batch without it
    ask 1, ask 3, claim -> 1+3, delete 1, beat 3 -> restart, release 3, claim -> 3v1
question that is edited and then deleted stops
    ask 1, claim, edit 1, delete 1 -> yes, edit 1 -> no, delete 1 -> no, beat 1 -> stop, finish 1 mention -> yes,
    outbox -> unless_followed
question that is edited, deleted and handed over stops
    ask 1, claim, edit 1, delete 1, release 1, claim -> 1v1, finish 1 mention -> yes, outbox -> unless_followed
deleted question that waits for approvals is not answered
    ask 1, claim, step 1 asked, wait 1, delete 1, claim -> 1, beat 1 -> stop, finish 1 stopped,
    outbox -> unless_followed
same message in another channel or workspace is left alone
    ask 1, ask t1, ask d1, delete 1, delete d1, claim -> t1
reply to a batch stays while another of its questions stands
    ask 1, ask 3, claim, finish 3 mention, delete 3 -> yes, delete 3 -> no, outbox -> mention
nobody is mentioned about a deleted question
    ask 1, claim, finish 1 mention, delete 1, outbox -> beside & unless_followed
deleted answer is emptied at once and its messages once no worker writes them
    ask 1, claim, pages 1, write 1, delete_answer 1, outbox -> none, finish 1, outbox -> nothing,
    regenerate 1 -> no
deleted answer whose end Slack refused keeps no text
    ask 1, claim, write 1, delete_answer 1, finish 1 unshown, pass_s 31, outbox -> nothing,
    complete nothing
deleted answer leaves no steps to the next attempt
    ask 1, claim, step 1 ready, delete_answer 1, release 1, claim -> 1
edit of a question whose answer was deleted answers nothing
    ask 1, claim, pages 1, finish 1, delete_answer 1, edit 1 -> yes, claim -> none, outbox -> nothing
"""
AGAIN = """
regenerated answer keeps its messages, and its reply asks no more
    ask 1, claim, pages 1, finish 1, ask 3, edit 1, outbox -> end, regenerate 1 -> yes, regenerate 1 -> no,
    outbox -> none, claim -> none, complete end, claim -> 1v1
regenerated answer waits behind the one that its thread is getting
    ask 1, claim, finish 1, ask 3, claim -> 3, regenerate 1, announce 1, claim -> none, finish 3, claim -> 1v1
regenerated answer whose process has no room waits for its placeholder
    ask 1, claim, pages 1, finish 1, w2 regenerate 1 full, w2 post 1, claim -> none, w2 announce 1, claim -> 1v1
regenerated question that was stopped in the queue keeps its placeholder
    ask 1 full shown, stop 1, regenerate 1, claim -> 1v1
regenerated question whose placeholder may have been cleared gets a new message
    ask 1 full shown, stop 1, outbox -> no_placeholder, regenerate 1, claim -> none,
    complete no_placeholder, claim -> 1v1
regenerated answer that does not wait needs no placeholder
    ask 1 full posting, pass_s 11, claim, finish 1, regenerate 1, claim -> 1v1
regenerated answer is neither stopped nor interrupted and knows its questions
    ask 1, claim, step 1 ready, ask 3, follow 1 -> 3, w2 watch w1 -> 1+3, w2 finish 1 mention, regenerate 1,
    claim -> 1+3v1, stop 1, finish 1 stopped, outbox -> beside, regenerate 1, claim -> 1+3v2, beat 1 -> ours
effort is for one version of an answer
    ask 1, claim, finish 1, regenerate 1 thorough, claim -> 1v1, release 1, w2 claim -> 1v1, finish 1, regenerate 1,
    claim -> 1v2, edit 1, release 1, claim -> 1v3
effort outlives a death, an edit and a limit
    ask 1, claim, finish 1, regenerate 1 fast, claim -> 1v1, w2 watch w1 -> 1v1, edit 1, finish 1 -> no, claim -> 1v2,
    finish 1, regenerate 1 continued, claim -> 1v3
"""
BATCHES = """
running answer takes along the questions below its own in their order
    ask 1, claim, step 1 ready, ask 5, ask 3, ask d3, follow 1 -> 3+5, finish 1, claim -> d3
running answer takes no question from above along
    ask 3, claim, step 3 ready, ask 1, follow 3 -> none
follow-ups are taken along up to somebody else's
    ask 1, claim, step 1 ready, ask 3, ask 4, ask 5, follow 1 -> 3, follow 1 -> none, release 1, claim -> 1+3
question keeps the step that read it until its answer starts over
    ask 1, ask 3, claim -> 1+3, step 3 ready, ask 5, follow 3 -> 5, step 3 ready, ask 7, follow 3 -> 7, release 3,
    claim -> 1+3+5+7, edit 3, release 3, claim -> 1+3+5+7v1
regenerated answer is not taken along
    ask 1, claim, finish 1, ask 3, claim, finish 3, regenerate 1, claim -> 1v1, step 1 ready, regenerate 3,
    follow 1 -> none
regenerated answer is claimed before later questions, and alone
    ask 1, claim, finish 1, regenerate 1, ask 3, claim -> 1v1, finish 1, claim -> 3
regenerated question whose placeholder is being posted is claimed once it must be there
    ask 1 full posting, stop 1, regenerate 1, claim -> none, pass_s 11, claim -> 1v1
interruptions of an earlier version do not count
    ask 1, claim, w2 watch w1 -> 1, w2 finish 1, regenerate 1, claim -> 1v1
batch ends at somebody else's question
    ask 1, ask 3, ask 4, ask 5, claim -> 1+3, finish 3, claim -> 4
question whose placeholder is being posted joins no batch
    ask 1, ask 3 posting, claim -> 1
recorded placeholder of a batched question is cleared
    ask 1 full shown, ask 3, claim -> 1+3, outbox -> no_placeholder, complete no_placeholder
unrecorded placeholder is cleared once it can no longer arrive
    ask 1 full posting, ask 3, pass_s 11, claim -> 1+3, pass_s 19, outbox -> none, pass_s 1, outbox -> no_placeholder
placeholder recorded late is cleared
    ask 1 full posting, ask 3, pass_s 11, claim -> 1+3, announce 1, outbox -> no_placeholder
placeholder that was not needed is not cleared
    ask 1 full, ask 3, claim -> 1+3, pass_s 30, outbox -> none
placeholder of a question taken along is cleared
    ask 1, claim, step 1 ready, ask 3 shown, follow 1 -> 3, outbox -> no_placeholder
placeholder of a stopped question is cleared
    ask 1 full shown, stop 1, outbox -> no_placeholder
unrecorded placeholder of a stopped or deleted question is cleared once it can no longer arrive
    ask 1 full posting, ask d1 full posting, stop 1, delete d1, outbox -> none, pass_s 21,
    outbox -> no_placeholder & no_placeholder
placeholder of a regenerated question that is stopped again is cleared at once
    ask 1 full shown, stop 1, regenerate 1 full, stop 1, outbox -> no_placeholder
questions of a batch are queued again as they were if the newest is deleted
    ask 1, ask 3, ask 5, claim -> 1+3+5, step 5 ready, ask 7, follow 5 -> 7, delete 1, delete 5, finish 5 stopped,
    claim -> 3+7
question that was taken along is known from the start once it is batched again
    ask 1, claim, step 1 ready, ask 3, follow 1 -> 3, delete 1, ask 5, finish 1 stopped, claim -> 3+5
placeholder is kept if its batch comes apart before it is cleared
    ask 1 full shown, ask 3, claim -> 1+3, delete 3, finish 3 stopped, claim -> 1, outbox -> unless_followed
placeholder whose clearing has begun is not kept
    ask 1 full shown, ask 3, claim -> 1+3, outbox -> no_placeholder, delete 3, finish 3 stopped,
    claim -> none, complete no_placeholder, claim -> 1
"""
ENTRIES = """
reply is known by all its messages, and its text by the first
    ask 1, claim, pages 1, pages 1 3, finish 1, ask 2, claim, pages 2, finish 2 empty, ask 3, claim, finish 3
asker of a long answer is mentioned once
    ask 1, claim, finish 1 mention -> yes, finish 1 mention -> no, outbox -> mention,
    complete mention, pass_s 100, outbox -> none
asker of an end that Slack refused is mentioned once it is shown
    ask 1, claim, finish 1 mention unshown, outbox -> beside, complete beside, pass_s 60, outbox -> end, pass_s 1,
    outbox -> none, complete end, outbox -> mention
mention goes with its answer
    ask 1, claim, finish 1 mention, outbox -> mention, complete mention, regenerate 1,
    outbox -> clear
mention that is posted after its answer was deleted goes, too
    ask 1, claim, finish 1 mention, outbox -> mention, delete_answer 1, complete mention,
    outbox -> clear & nothing
outdated end mentions nobody
    ask 1, claim, edit 1, finish 1 mention -> no, claim, finish 1, pass_s 60, outbox -> none
stopped answer mentions nobody
    ask 1, claim, stop 1, finish 1 mention, outbox -> none
entry that is not completed is taken again by any process
    ask 1, claim, finish 1 mention, outbox -> mention, w2 outbox -> none, pass_s 29, w2 outbox -> none, pass_s 1,
    w2 outbox -> mention, w2 complete mention, pass_s 100, outbox -> none
completing an entry that was taken again leaves it
    ask 1, claim, finish 1 mention, outbox, pass_s 31, w2 outbox -> mention, complete mention late,
    pass_s 31, w2 outbox -> beside
postponing an entry that was taken again does not move it
    ask 1, claim, finish 1 mention, outbox, pass_s 31, w2 outbox, postpone mention late, pass_s 31,
    w2 outbox -> mention
completing an entry that was renewed leaves the new one
    ask 1, claim, finish 1, ask 3, edit 1, outbox -> end, pass_s 1, edit 1, complete end,
    outbox -> end
erasure removes exactly the questions of a person or a thread
    ask 1, ask 2, ask d2, ask t3, erase U3 -> 0, erase U1 thread -> 1, erase U2 -> 2, ask d2 -> known, ask 3, ask 4,
    erase thread -> 2, ask d2 -> known, erase -> 1, erase -> 0
event of an erased question is new again
    ask 1, claim, finish 1, ask 1 -> known, erase -> 1, ask 1 -> ready
erased questions have no entries
    ask 1, claim, finish 1 mention, erase -> 1, outbox -> none
end that is shown later is shown once
    ask 1, claim, pages 1, write 1, finish 1 unshown, pass_s 31, outbox -> end, end_of end -> yes,
    complete end, pass_s 300, outbox -> none
end of an answer to several questions is shown without them
    ask 1, ask 3, claim -> 1+3, step 3 ready, ask 5, follow 3 -> 5, finish 3 unshown, pass_s 31, outbox -> end,
    end_of end -> yes
messages that show an end are recorded by the process that took the entry
    ask 1, claim, pages 1, finish 1 unshown, pass_s 31, outbox, pass_s 31, w2 outbox -> end,
    w2 show end 2, show end 3 late, end_of end -> yes
postponed end is taken again after its wait
    ask 1, claim, finish 1 unshown, pass_s 31, outbox, postpone end, pass_s 59, outbox -> none, pass_s 1,
    outbox -> end
late process leaves the text to the one that took the entry since
    ask 1, claim, finish 1 unshown, pass_s 31, outbox, pass_s 31, w2 outbox, complete end late,
    end_of end -> yes
thread is free while an end is unshown
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, ask 3, claim -> 3
regenerated answer is not claimed while its end is being shown
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, regenerate 1, pass_s 29, claim -> none, pass_s 1,
    outbox -> none, claim -> 1v1, end_of end -> no, finish 1, pass_s 60, outbox -> none
end that is shown late leaves the text of the next version
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, regenerate 1, pass_s 31, claim -> 1v1, write 1,
    complete end, release 1, claim -> 1v1
regenerated answer is claimed while its end waits for a try
    ask 1, claim, finish 1 unshown, regenerate 1, claim -> 1v1, finish 1 unshown, pass_s 31, outbox -> end,
    postpone end, regenerate 1, claim -> 1v2
deleted answer is not shown and its reply is deleted later
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, delete_answer 1, end_of end -> no,
    outbox -> none, complete end, outbox -> nothing
what failed is tried at once if the record has changed meanwhile
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, delete_answer 1, postpone end, outbox -> nothing
mention of an earlier approval goes before the next one comes
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox -> ask, complete ask, outbox -> none,
    decide 1 approved, claim -> 1, step 1 asked, wait 1 mention, outbox -> clear, complete clear, outbox -> none,
    pass_s 60, outbox -> ask
mention of an answer to several questions stays though the newest of them is deleted
    ask 1, ask 3, claim -> 1+3, finish 3 mention, delete 3, outbox -> mention, complete mention, outbox -> none
next version goes on in the message that its last end was just shown in
    ask 1, claim, pages 1, finish 1 unshown, pass_s 31, outbox -> end, regenerate 1 -> yes, show end 2, complete end,
    claim -> 1v1
what the last attempt shows of a deleted answer is deleted, too
    ask 1, claim, step 1 asked, wait 1, delete_answer 1, outbox -> nothing, complete nothing, stop 1 -> yes,
    claim -> 1, finish 1 stopped, outbox -> nothing
end of a deleted question is not shown
    ask 1, claim, finish 1 unshown, pass_s 31, outbox -> end, delete 1, end_of end -> no
outdated end is not left to the outbox
    ask 1, claim, edit 1, finish 1 unshown -> no, claim -> 1v1, finish 1, pass_s 60, outbox -> none
end of an erased question is not left to the outbox
    ask 1, claim, erase thread -> 1, beat 1 -> stop, finish 1 unshown -> yes, pass_s 60, outbox -> none
"""
TEXTS = """
next attempt gets all recorded text
    ask 1, claim, write 1, write 1 beats, write 1, release 1, w2 claim -> 1
text whose record was not heard of is sent again
    ask 1, claim, write 1 unheard, write 1, release 1, claim -> 1
late piece removes no text
    ask 1, claim, write 1, write 1, write_late 1 0, release 1, claim -> 1
attempt that lost its job records no text
    ask 1, claim, write 1, release 1, w2 claim -> 1, write 1 late, release 1 late -> no, release 1, claim -> 1
earlier attempt of the same worker records no text
    ask 1, claim, release 1, claim -> 1, write 1 late, write 1, release 1, claim -> 1
continued answer begins with its earlier text
    ask 1, claim, pages 1, finish 1, regenerate 1 continued, claim -> 1v1, write 1, release 1, claim -> 1v1, write 1,
    finish 1
continued answer is no earlier version of itself
    ask 1, claim, finish 1 stopped, regenerate 1 continued, claim -> 1v1, release 1, claim -> 1v1, finish 1,
    regenerate 1, claim -> 1v2
continued answer has the earlier versions of what it continues
    ask 1, claim, finish 1, regenerate 1, claim, finish 1, regenerate 1 continued, claim -> 1v2, finish 1
version without text is no earlier one
    ask 1, claim, finish 1 empty, regenerate 1, claim -> 1v1, finish 1
steps of a continued answer leave what it continues
    ask 1, claim, finish 1, regenerate 1 continued, claim, step 1 ready, release 1, claim -> 1v1, finish 1
edited answer that was continued starts again from nothing
    ask 1, claim, finish 1, regenerate 1 continued, claim, write 1, edit 1, release 1, claim -> 1v2
ended job gets no text
    ask 1, claim, finish 1, write 1, write 1 beats
text goes at the end of its answer alone
    ask 1, ask d1, claim -> 1 & d1, write 1, write d1, finish 1, release d1, claim -> d1
text goes with its erased question
    ask 1, claim, write 1, release 1, erase thread, claim -> none
text of a running question goes at its end
    ask 1, claim, write 1, erase U2 -> 1, finish 1, claim -> none
erasure of a handed over job happens at its end
    ask 1, claim, erase U2 -> 1, release 1, claim -> 1, finish 1
worker that sends heartbeats keeps its job
    ask 1, claim, w2 watch w3 -> none, beat 1 -> ours
text of a dead worker is taken over
    ask 1, claim, write 1, w2 watch w1 -> 1, finish 1 late -> no, finish 1
"""
CALLS = """
next attempt gets the recorded steps
    ask 1, claim, step 1 ready asked, step 1 ready, release 1, claim -> 1
call begins once
    ask 1, claim, step 1 ready asked, begin 1 -> yes, begin 1 -> no, begin 1 1 -> no
call that is over stays as it ended
    ask 1, claim, step 1 ready, begin 1, end 1 -> yes, end 1 -> no, begin 1 -> no, release 1, claim -> 1
call that is not made ends without having begun
    ask 1, claim, step 1 ready, end 1 -> yes, edit 1, release 1, claim -> 1v1, earlier_calls 1 -> none
attempt that lost its job makes no calls
    ask 1, claim, step 1 ready asked, release 1, w2 claim -> 1, begin 1 0 late -> no, step 1 ready late -> no,
    begin 1 -> yes, end 1 0 late -> no, wait 1 late -> no, ask 3, follow 1 late -> none
nothing begins once the question is edited
    ask 1, claim, step 1 ready, edit 1, begin 1 -> no, step 1 ready -> no
nothing begins once a stop is requested
    ask 1, claim, step 1 ready, stop 1, begin 1 -> no, ask 3, follow 1 -> none
new version knows what an earlier one may have changed
    ask 1, claim, step 1 ready ready, begin 1 -> yes, edit 1, end 1 -> yes, finish 1 -> no, claim -> 1v1,
    earlier_calls 1 -> done, step 1 ready, begin 1, release 1, claim -> 1v1, earlier_calls 1 -> done
job waits only while a call is to be decided
    ask 1, claim, step 1 asked, decide 1 approved -> yes, wait 1 -> no, begin 1 -> yes
call that is allowed with others in its thread is made
    ask 1, claim, step 1 asked, wait 1, decide 1 in_thread -> yes, claim -> 1, begin 1 -> yes
job does not wait for calls of an earlier version
    ask 1, claim, step 1 asked, edit 1, release 1, claim -> 1v1, step 1 ready, wait 1 -> no
job that is stopped does not wait
    ask 1, claim, step 1 asked, stop 1, wait 1 -> no, finish 1 stopped
waiting job goes on once all calls are decided
    ask 1, claim, step 1 asked asked, wait 1 -> yes, decide 1 approved -> yes, claim -> none,
    decide 1 denied 1 -> yes, claim -> 1, begin 1 -> yes, begin 1 1 -> no
decision works once
    ask 1, claim, step 1 asked asked, decide 1 approved -> yes, decide 1 denied -> no
decision about an earlier version has no effect
    ask 1, claim, step 1 asked, edit 1, decide 1 approved -> no, release 1, claim -> 1v1
decision after a stop has no effect
    ask 1, claim, step 1 asked, wait 1, stop 1, decide 1 approved -> no, claim -> 1
decision about a running answer that is stopped has no effect
    ask 1, claim, step 1 asked, stop 1, decide 1 approved -> no
waiting job goes on without its calls once their time is over
    ask 1, claim, step 1 asked, wait 1, pass_s 14399, expire -> 0, pass_s 1, decide 1 approved -> no, expire -> 1,
    claim -> 1, begin 1 -> no
asker who decides waits again
    ask 1, claim, step 1 asked, wait 1, pass_s 600, decide 1 approved 0 U2, claim -> 1
asker waits on if somebody else decides
    ask 1, claim, step 1 asked, wait 1, pass_s 600, decide 1 approved 0 U1, claim -> 1
asker is mentioned once while the job waits
    ask 1, claim, step 1 asked asked, wait 1 mention, outbox -> none, pass_s 60, outbox -> ask,
    decide 1 approved, pass_s 30, outbox -> ask & asks, complete asks, decide 1 denied 1,
    pass_s 31, outbox -> beside, claim -> 1
next approval has a mention of its own
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox -> ask, decide 1 approved, claim,
    step 1 asked, wait 1 mention, complete ask late, pass_s 60, outbox -> ask
mention is cleared once the job waits no longer
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox -> ask, complete ask,
    outbox -> none, decide 1 approved, outbox -> clear, complete clear, pass_s 99, outbox -> none
mention of an earlier approval that is cleared late leaves the next one known
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox, complete ask, decide 1 approved,
    outbox -> clear, claim, step 1 asked, wait 1 mention, pass_s 60, outbox -> ask,
    complete ask, complete clear, decide 1 approved 1, outbox -> clear
mention that is posted after the decision is cleared too
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox, decide 1 approved, claim, finish 1,
    complete ask, outbox -> clear
mention of an erased job leaves nothing to clear
    ask 1, claim, step 1 asked, wait 1 mention, pass_s 60, outbox, erase U2 -> 1, complete ask,
    outbox -> none
job that ends leaves no mention behind
    ask 1, claim, step 1 asked, wait 1 mention, stop 1, claim, finish 1, pass_s 60, outbox -> beside
decision is shown while the job waits for others, which is not claimed meanwhile
    ask 1, claim, pages 1, step 1 asked asked, wait 1, decide 1 denied -> yes, outbox -> asks,
    show asks 2, decide 1 approved 1 -> yes, claim -> none, complete asks, claim -> 1
decision is not shown once all are made
    ask 1, claim, step 1 asked asked, wait 1, decide 1 denied, decide 1 denied 1, outbox -> none, claim, finish 1
process that shows a decision keeps its entry when another one is made
    ask 1, claim, step 1 asked asked asked, wait 1, decide 1 approved, outbox -> asks, decide 1 approved 1,
    w2 outbox -> none, pass_s 31, w2 outbox -> asks
question of the asker denies and of another person does not
    ask 1, claim, step 1 asked, wait 1, ask 2, claim -> 2, ask 3, finish 2, claim -> 1, begin 1 -> no
earlier question that arrives late denies nothing
    ask 3, claim, step 3 asked, wait 3, ask 1, decide 3 approved -> yes
question that comes before the record of calls that are shown denies them
    ask 1, claim, step 1 asked asked, ask 3, wait 1 read -> yes, decide 1 approved -> no, claim -> 1, begin 1 -> no
only the asker's question denies calls that are shown before their record
    ask 1, claim, step 1 asked, ask 2, wait 1 read, decide 1 approved -> yes
question that came before the calls were shown denies nothing
    ask 1, claim, step 1 asked, ask 3, pass_s 5, wait 1 read, decide 1 approved -> yes
question that joined the answer denies nothing
    ask 1, claim, step 1 ready, ask 3, follow 1 -> 3, step 1 asked, wait 1 read, decide 1 approved 1 -> yes
question that is deleted before the record denies nothing
    ask 1, claim, step 1 asked, ask 3, delete 3, wait 1 read, decide 1 approved -> yes
earlier question that arrives before the record denies nothing
    ask 3, claim, step 3 asked, ask 1, wait 3 read, decide 3 approved -> yes
question that Slack delivers again denies nothing
    ask 1, claim, step 1 asked, ask 3, wait 1, ask 3 again -> known, claim -> 3
"""
PEOPLE_IN_THREADS = """
bot takes part where it was asked, and not before
    message U1 9 -> nothing, ask 3, message U2 9 -> takes_part, message U2 2 -> nothing, message U1 2 -> nothing
thread is shared for everyone once someone else writes
    ask 1, message U1 2 -> takes_part others, message U2 99 -> takes_part others
earlier participants may be recorded before the first question
    group 0, group 0, message U2 9 -> nothing, ask 1, message U2 9 -> takes_part others, erase thread -> 1, ask 3,
    message U2 9 -> takes_part
thread stays shared from its first message by somebody else
    ask 1, group 2, group 4, message U2 3 -> takes_part others
messages after the asked one do not count however late it arrives
    ask 1, ask 4, message U1 5 -> takes_part others, message U2 3 -> takes_part, message U2 5 -> takes_part others,
    group 1, message U2 3 -> takes_part others
redelivered message finds the thread shared after the other person was erased
    ask 1, ask 2, message U2 3 -> takes_part others, erase U1 -> 1, message U2 3 -> takes_part others,
    message U2 2 -> takes_part
denied question does not make the bot take part
    ask 1, claim, finish 1 denied, message U2 9 -> nothing
starter is the first asker
    ask 4, ask 1, message U1 9 -> takes_part others
first message by somebody else is the one that joins
    ask 1, message U2 2, message U1 3 -> takes_part others, message U1 4, message U3 5
redelivered question finds those who wrote before it
    group 1, ask 3, message U2 3 -> others
erased writer stays somebody else
    ask 1, ask 2, line U3 3, erase U3 -> 0, message U2 99 -> takes_part others
starter is who wrote the first message until they are erased
    ask 1, group 2 U3, message U2 9 -> takes_part others, erase U3, message U2 9 -> takes_part others
lines are the messages and the answers below questions in order
    ask 1, line U3 5, line U1 2, line U1 2, line U3 2, ask 4, message U2 5 -> takes_part others,
    message U1 4 -> takes_part others
denied question has no answer among the lines
    ask 1, ask d1, claim, finish 1 denied, ask 2, message U3 3 -> takes_part others
newest switch counts for the messages after it
    ask 1, quiet 3 -> yes, message U2 2 -> takes_part, message U2 3 -> takes_part, message U2 4 -> takes_part quiet,
    loud 2 -> no, quiet 3 -> no, message U2 4 -> takes_part quiet, loud 5 -> yes, message U2 6 -> takes_part
facts about a thread go with the last question of an erased person
    ask 1, group 2, line U3 2, quiet 2, erase U2 -> 1, ask 3, message U2 99 -> takes_part
facts about a thread go with the last running question of an erased person
    ask 1, group 2, line U3 2, quiet 2, claim, erase U2 -> 1, finish 1, ask 3, message U2 99 -> takes_part
facts about other threads stay
    ask d1, group d2, line U3 d2, quiet d2, ask 1, erase thread -> 1, message U2 d9 -> takes_part others quiet
facts about a thread stay while others' questions do
    ask 1, group 2, line U3 2, quiet 2, ask 4, erase U2 -> 1, message U1 99 -> takes_part others quiet
"""
AUDIT = """
each question of a batch ends in the audit
    ask 1, ask 3, claim, finish 3, audit -> question question answer-batched answer-whole
event that Slack delivers twice is one question in the audit
    ask 1, ask 1 -> known, ask 1 again -> known, audit -> question
edits, stops in the queue and deletions are in the audit
    ask 1, ask 3, edit 1, edit 1 back, edit 1 back, stop 1, delete 3, audit ->
    question question question-edited question-edited answer-stopped erasure-question answer-question_deleted
call is in the audit as often as something becomes of it
    ask 1, claim, step 1 asked, wait 1, decide 1 approved, decide 1 denied, claim, begin 1, begin 1, end 1, end 1,
    audit -> question call-asked answer-stepped decision-approved call-begun call-done
erased answer under way ends in the audit
    ask 1, claim, erase U2, finish 1, audit -> question erasure-person answer-whole
"""

PATHS = paths_in(QUEUE + EDITS + DELETIONS + AGAIN + BATCHES + ENTRIES + TEXTS + CALLS + PEOPLE_IN_THREADS + AUDIT)


ON_A_SERVER = pytest.param("postgresql", marks=pytest.mark.long)
"""The statements are those of SQLite. The table of states and calls in any order run on both each time."""


@pytest.mark.parametrize("database", ["memory", ON_A_SERVER])
@pytest.mark.parametrize("behavior", PATHS)
@pytest.mark.long(but_every=5)
def test_path_agrees_with_the_model(request: pytest.FixtureRequest, behavior: str, database: str) -> None:
    play("sqlite://" if database == "memory" else request.getfixturevalue("postgresql_url"), PATHS[behavior])


def test_other_processes_hear_of_each_change(postgresql_url: str) -> None:
    """The table of states (test_store_states.py) shows the same of changes that concern one question alone."""
    play(postgresql_url, "ask 1, claim, ask 3, finish 1, claim, finish 3, ask 5 full posting, announce 5")
