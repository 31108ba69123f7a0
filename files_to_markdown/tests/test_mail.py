"""Mails: headers and names in any charset, broken encodings, files with several mails, invitations."""

import base64
import time

import pytest

from files_to_markdown import formats, mail
from files_to_markdown.document import CPU_S, Document, Format, LeftOut, Part
from files_to_markdown.kind import document_kind


def body(mail: str | bytes) -> str:
    content = mail if isinstance(mail, bytes) else mail.encode()
    return formats.read(Format.MAIL, content).text.partition("---")[2].strip()


WORDS = "日本".encode()
SUBJECTS = [
    (b"=?iso-8859-2?q?=A3=F3d=BC?=", "Łódź"),
    (b"=?x-unknown?b?SGFsbG8=?=", "Hallo"),
    (b"=?x-unknown?q?=A3?=", "£"),
    ("Grüße".encode(), "Grüße"),
    ("Grüße".encode("cp1252"), "Grüße"),
    (b"=?utf-8?b?%s?=\n =?utf-8?b?%s?= end" % (base64.b64encode(WORDS[:4]), base64.b64encode(WORDS[4:])), "日本 end"),
    (b"=?iso-8859-1?q?a?= =?koi8-r?b?8NLJ18XU?=", "aПривет"),
    (b"=?iso-8859-1*en?Q?=93x=94?=", "“x”"),
    (b"=?utf-8?b?SGFsbG8?=", "Hallo"),
    (b"=?utf-8?q?Re=3A_x_y?=", "Re: x y"),
    (b"a =?utf-8?q? b", "a =?utf-8?q? b"),
]


@pytest.mark.parametrize(("raw", "shown"), SUBJECTS)
def test_words_of_a_header_are_decoded(raw: bytes, shown: str) -> None:
    assert formats.read(Format.MAIL, b"Subject: %s\n\nx" % raw).text == f"Subject: {shown}\n\n---\n\nx"


NAMES = [
    (b"filename*=iso-8859-2''%A3.pdf", "Ł.pdf"),
    (b"filename*0*=koi8-r''%F0%D2; filename*1=x.pdf", "Прx.pdf"),
    (b"filename*=x-none''%A3.pdf", "£.pdf"),
    (b'filename="=?gb2312?B?xOO6ww==?=.pdf"', "你好.pdf"),
    ('filename="Grüße.pdf"'.encode(), "Grüße.pdf"),
    (b"filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
    (b'filename="a b.pdf"', "a b.pdf"),
    (b"filename=a.pdf\nContent-Type: application/pdf; name=b.pdf", "a.pdf"),
]


@pytest.mark.parametrize(("parameter", "name"), NAMES)
def test_name_of_an_attachment_is_decoded(parameter: bytes, name: str) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; "
    kind = b"" if b"Content-Type" in parameter else b"\nContent-Type: application/pdf"
    mail = head + parameter + kind + b"\n\nx\n--b--\n"
    assert formats.read(Format.MAIL, mail).left_out == (LeftOut(Part.ATTACHMENT, 1, (name,)),)


def encoded(how: str, text: str) -> str:
    return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {how}\n\n{text}"


FLOWED = "Content-Type: text/plain; format=flowed"
BODIES = [
    (encoded("quoted-printable", "Gr=C3=BC=\n=C3=9Fe soft=\n break ="), "Grüße soft break"),
    (encoded("base64", "R3LDvMOf\nZQ"), "Grüße"),
    (encoded("base64", "R3LDv*MOf\nZQ="), "Grüße"),
    (encoded("x-unknown", "Grüße"), "Grüße"),
    (encoded("8bit", "Grüße\r\nzwei"), "Grüße\nzwei"),
    (
        f"{FLOWED}\n\nOne long \nparagraph.\n> quoted \n> more\n>> deep\n-- \nsig\n from",
        "One long paragraph.\n> quoted more\n>> deep\n-- \nsig\nfrom",
    ),
    (f"{FLOWED}; delsp=yes\n\n第三 \n季度", "第三季度"),
    ("Content-Type: multipart/mixed\n\nno boundary", "no boundary"),
    ("Content-Type: multipart/mixed; boundary=zz\n\nanother boundary", "another boundary"),
    ("Content-Type: text\n\na broken type", "a broken type"),
    ("Content-Type: text/markdown\n\n# Other texts", "# Other texts"),
    ("\ufeffSubject: a\n\na mark before it", "a mark before it"),
    (
        "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n"
        "BEGIN:VEVENT\nSUMMARY:Long\n er\nX-FOO:1\nBEGIN:VALARM\nTRIGGER:x\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR",
        "Invitation:\nBEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Longer\nEND:VEVENT\nEND:VCALENDAR",
    ),
]


@pytest.mark.parametrize(("mail", "shown"), BODIES)
def test_text_of_a_mail_is_read_however_it_travels(mail: str, shown: str) -> None:
    assert body(mail) == shown


@pytest.mark.parametrize(
    ("name", "mimetype", "content", "shown"),
    [
        ("a.emlx", "", b"20\nSubject: one\n\nwords\n<plist/>", "Subject: one\n\n---\n\nwords"),
        (
            "a.mbox",
            "application/mbox",
            b"From a@b\nSubject: one\n\n1\n\nFrom c@d\nSubject: two\n\n2\n",
            "Subject: one\n\n---\n\n1\n\nSubject: two\n\n---\n\n2",
        ),
        (
            "a.mbox",
            "",
            b"From a@b\r\nSubject: one\r\n\r\n1\r\n\r\nFrom c@d\r\nSubject: two\r\n\r\n2\r\n",
            "Subject: one\n\n---\n\n1\n\nSubject: two\n\n---\n\n2",
        ),
        (
            "a.mht",
            "application/x-mimearchive",
            b"Subject: Page\nContent-Type: text/html\n\n<h1>One",
            "Subject: Page\n\n---\n\n# One",
        ),
        (
            "a.eml",
            "message/rfc822",
            b"Subject: one\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nwords",
            "Subject: one\n\n---\n\nwords",
        ),
        ("a.eml", "", b"FROM: a@b.example\nsubject: one\n\nwords", "From: a@b.example\nSubject: one\n\n---\n\nwords"),
        (
            "a.eml",
            "",
            b"X-To: x\nSubject: s\nDate: d\nBcc: b\nReply-To: r\nCc: c\nTo: t,\n t2\nFrom: f\nTo: again\n\nwords",
            "From: f\nTo: t, t2\nCc: c\nBcc: b\nDate: d\nSubject: s\n\n---\n\nwords",
        ),
        ("a.mhtml", "multipart/related", b"Content-Type: text/html\n\n<p>One", "---\n\nOne"),
        # The mail's declaration for the page overrides the page's own.
        (
            "a.mht",
            "",
            b"Subject: one\nContent-Type: text/html; charset=windows-1251\n\n<meta charset=latin1><p>"
            + "Привет".encode("cp1251"),
            "Subject: one\n\n---\n\nПривет",
        ),
        (
            "a.eml",
            "",
            b"Subject: one\nContent-Type: text/plain; charset*=%00''utf-8\n\ntwo",
            "Subject: one\n\n---\n\ntwo",
        ),
    ],
)
def test_other_files_of_mails_are_read(name: str, mimetype: str, content: bytes, shown: str) -> None:
    assert document_kind(name, mimetype, content) is Format.MAIL
    assert formats.read(Format.MAIL, content) == Document(shown)


@pytest.mark.parametrize(("count", "left_out"), [(2, ()), (3, (LeftOut(Part.END, 1),))])
def test_mails_of_a_file_are_read_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, count: int, left_out: tuple[LeftOut, ...]
) -> None:
    monkeypatch.setattr(mail, "_MAX_MAILS", 2)
    read = formats.read(Format.MAIL, "".join(f"From a\n\n{at}\n\n" for at in range(count)).encode())
    assert read == Document("---\n\n0\n\n---\n\n1", left_out)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "smime.p7m"),
        ("application/ms-tnef; name=winmail.dat", "winmail.dat"),
        ("application/pdf; name*=iso-8859-2''%A3.pdf", "Ł.pdf"),
        ("image/png", "image/png"),
        ("text/x-log; name=a.log", "a.log"),
        ("message/partial; id=a; number=1; total=2", "message/partial"),
        ("message/external-body; access-type=url; name=plan.pdf", "plan.pdf"),
    ],
)
def test_what_holds_a_mails_text_in_another_form_is_named(kind: str, name: str) -> None:
    read = formats.read(Format.MAIL, f"Subject: a\nContent-Type: {kind}\n\nMIIB".encode())
    assert read.left_out == (LeftOut(Part.ATTACHMENT, 1, (name,)),)


REPORT = "Reporting-MTA: dns; a.example\n\nFinal-Recipient: rfc822; b@c.example\nStatus: 5.1.1"


@pytest.mark.parametrize(
    ("mail", "shown"),
    [
        ("Content-Type: message/rfc822\n\nSubject: a\n\nwords", "Attached mail:\n\nSubject: a\n\n---\n\nwords"),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: Quoted-Printable\n\nSubject: a=3Db\n\nwo=\nrds",
            "Attached mail:\n\nSubject: a=b\n\n---\n\nwords",
        ),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogYQoKd29yZHM=",
            "Attached mail:\n\nSubject: a\n\n---\n\nwords",
        ),
        (f"Content-Type: message/delivery-status\n\n{REPORT}", REPORT),
    ],
    ids=["as it is", "quoted-printable", "base64", "a report"],
)
def test_mail_within_a_mail_is_read_however_it_travels(mail: str, shown: str) -> None:
    assert body(mail) == shown


@pytest.mark.parametrize(
    ("words", "shown"), [(0, "two words"), (1, "two words"), (54, "two words"), (55, " ".join(["page"] * 55))]
)
@pytest.mark.parametrize("is_plain_first", [True, False])
def test_plain_text_is_read_unless_the_page_beside_it_says_far_more(
    words: int, shown: str, is_plain_first: bool
) -> None:
    parts = ["Content-Type: text/plain\n\ntwo words", f"Content-Type: text/html\n\n<p>{' '.join(['page'] * words)}"]
    joined = "".join(f"--b\n{part}\n" for part in (parts if is_plain_first else parts[::-1]))
    assert body(f"Content-Type: multipart/alternative; boundary=b\n\n{joined}--b--\n") == shown


@pytest.mark.parametrize(("depth", "left_out"), [(5, ()), (6, (LeftOut(Part.ATTACHMENT, 1, ("inmost",)),))])
def test_mails_are_read_in_five_others(depth: int, left_out: tuple[LeftOut, ...]) -> None:
    mail = "Subject: inmost\n\nwords"
    for _ in range(depth):
        mail = f"Content-Type: message/rfc822\n\n{mail}"
    read = formats.read(Format.MAIL, mail.encode())
    assert ("words" in read.text, read.left_out) == (not left_out, left_out)


def _nested(depth: int) -> str:
    heads = (f'Content-Type: multipart/alternative; boundary="b{at}"\n\n--b{at}\n' for at in range(depth))
    return f"{''.join(heads)}Content-Type: text/html\n\n{'<p>deep' * 20_000}"


HOSTILE = {
    "words": f"Subject: {'=?utf-8?q?a?= ' * 250_000}\n\nx",
    "mailbox": "From a\n\nx\n\n" * 200_000,
    "nested": _nested(200),
    "calendar": "Content-Type: text/calendar\n\n" + "BEGIN:VTIMEZONE\n" * 500_000,
}


@pytest.mark.parametrize("mail", HOSTILE.values(), ids=HOSTILE)
def test_mail_that_is_made_to_take_long_is_read_in_linear_time(mail: str) -> None:
    began_s = time.process_time()
    formats.read(Format.MAIL, mail.encode())
    assert time.process_time() - began_s < CPU_S
