"""Reads documents as Markdown: docx, xlsx, xls, xlsb, ods, pptx, odt, odp, rtf, html, eml, csv, and the text of PDFs.

A few kilobytes can make a parser take gigabytes, minutes, or its process down. So each document is read in a process of
its own (`child.py`), which `process.py` starts, bounds and kills. The process has no environment and no secrets of
its parent, and limits on memory, CPU time and output. Before it reads the document it gives up opening files, which
also rules out sockets. An archive is refused by its directory if it unpacks to too much, before anything is unpacked.

Libraries read the formats that are large: mammoth (docx, as HTML), calamine (spreadsheets), striprtf and PDFium. What
they would lose is rewritten before. A few lines of ours read slides, OpenDocument texts,
HTML, mails and CSV. What people see in a file is read, or the notice names it.
"""
