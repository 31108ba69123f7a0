"""What answers in the sandbox: a scripted model, a small local model, a model server on this machine, and a tool."""
