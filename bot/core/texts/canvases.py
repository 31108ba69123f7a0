"""Text about shared canvases, and about answers that are saved as canvases."""

SAVE = "Save as canvas"
TITLE = "Answer"
BEGUN = "I'm writing the canvas. I'll post the link in this conversation in a moment."
EXISTS = "This answer is already a canvas. The link is in this conversation."
OF_INCOMPLETE = "This answer isn't complete, so I can't save it as a canvas."
FORBIDDEN = (
    "I can't make canvases in this workspace yet. A workspace admin must give this app the canvases:write scope."
)
OFF = "I couldn't save the answer as a canvas: canvases are turned off in this workspace."
REFUSED = "I couldn't save the answer as a canvas: Slack rejected the text."
NOT_MADE = (
    "I couldn't save the answer as a canvas: Slack wouldn't allow it. Please try again later, or ask a workspace admin."
)
NOT_OPENED = "I saved the answer as a canvas, but Slack wouldn't let me share it with the people here."
UNNAMED = "a canvas"
