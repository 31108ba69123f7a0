"""Converts documents to Markdown: docx, xlsx, xls, xlsb, ods, pptx, odt, odp, rtf, html, eml, csv, and the text of
PDFs.

A file of a few kilobytes can make a parser use gigabytes of memory, run for minutes, or crash. So each document is read
in a separate process (`child.py`), which `process.py` starts, limits and kills. That process doesn't have its parent's
environment or secrets, and its memory, CPU time and output are limited. Before it reads the document, it gives up the
right to open files, which also rules out sockets. If an archive's directory shows that it would unpack to too much
data, it is refused before anything is unpacked.

Libraries read the large formats: mammoth (docx, as HTML), calamine (spreadsheets), striprtf and PDFium. Content that
these libraries would lose is rewritten first. Code in this package reads slides, OpenDocument texts, HTML, mail and
CSV. Everything that people see in a file is either converted or reported as left out.
"""
