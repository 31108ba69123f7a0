"""Documents that a model writes in a fence, in an answer with an end."""

from bot.reply.attachments import code_files, left_out_notice


def test_end_of_a_long_answer_is_read_as_its_document() -> None:
    lines = "setup\n" * 1_000
    (file,) = code_files(f"```md\n```sh\n{lines}```\n# End\n```\nBye.", "1.2")
    assert (file.title, file.content) == ("code-1.md", f"```sh\n{lines}```\n# End\n".encode())
    notice = left_out_notice("```md\n# One\n```sh\n# ls\n```\n# Two\n```\n# Three\n# Four")
    assert notice == "Continues in answer.md: 2 more sections. The rest is below."
