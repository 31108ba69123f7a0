"""The text of PDFs. PDFium reads them, and is imported with the first one."""

from bot.documents.document import Draft, Part, Refusal, Unreadable


def read_pdf(content: bytes, draft: Draft) -> None:
    """Adds the text of a PDF to a draft. Pages without text are pictures, such as scans."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        pdf = PdfDocument(content)
    except PdfiumError as error:
        raise Unreadable(Refusal.PROTECTED if "password" in str(error).lower() else Refusal.DAMAGED) from error
    without_text = []
    for number in range(len(pdf)):
        page = pdf[number]
        text = page.get_textpage().get_text_range().replace("\r\n", "\n")
        page.close()
        if text.strip():
            draft.add(f"## Page {number + 1}\n\n{text}")
        else:
            without_text.append(str(number + 1))
    draft.leave_out(Part.PAGE, without_text, count=0)
