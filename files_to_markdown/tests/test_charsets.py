"""Decoding: as declared, as UTF-8, or guessed; and guesses are reported."""

import json
import subprocess
import sys

import pytest

from files_to_markdown import formats
from files_to_markdown.charsets import decode, python_charset
from files_to_markdown.document import Document, Format, Obstacle, Unreadable
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

RUSSIAN = "Имя;Город;Сумма\nИван Петров;Москва;100\nМария Сидорова;Санкт-Петербург;250\n"
JAPANESE = "名前,住所,金額\n山田太郎,東京都,1000\n鈴木花子,大阪府,2500\n"
CHINESE = "姓名,城市,金额\n张伟,北京,100\n王芳,上海,250\n"
TAIWANESE = "姓名,城市,金額\n陳大文,臺北,100\n林美麗,高雄,250\n"
KOREAN = "이름,도시,금액\n김철수,서울,100\n이영희,부산,250\n"
GERMAN = "Name;Straße;Größe\nMüller;Königsallee;1,80\nJäger;Bäckerweg;1,70\n"
POLISH = "Imię;Miasto\nŁukasz;Łódź\nMałgorzata;Kraków\nŻaneta;Gdańsk\nZażółć;gęślą jaźń\n"
GUESSED = [
    (RUSSIAN, "cp1251", "windows-1251"),
    (RUSSIAN, "koi8-r", "koi8-u"),
    (RUSSIAN, "iso8859-5", "iso8859-5"),
    (RUSSIAN, "cp866", "cp866"),
    ("Имя\nИван\n", "cp1251", "windows-1251"),
    (JAPANESE, "shift_jis", "Shift_JIS"),
    ("名前は、やまだ カタカナ です\n", "euc_jp", "EUC-JP"),
    (CHINESE, "gbk", "GB18030"),
    (TAIWANESE, "big5", "Big5"),
    (KOREAN, "euc_kr", "EUC-KR"),
    (GERMAN, "cp1252", "windows-1252"),
    ("Größe;3\n", "cp1252", "windows-1252"),
    (POLISH, "cp1250", "windows-1250"),
    (POLISH, "iso8859-2", "iso8859-2"),
    ("Ad;Şehir\nIşıl;İstanbul\nÇağrı;Eskişehir\nGüneş doğuyor, kuşlar ötüşüyor.", "cp1254", "windows-1254"),
    ("Όνομα;Πόλη\nΓιώργος;Αθήνα\nΜαρία;Θεσσαλονίκη\n", "cp1253", "windows-1253"),
    ("שם;עיר\nדוד;ירושלים\nרחל;תל אביב\n", "cp1255", "windows-1255"),
    ("الاسم;المدينة\nمحمد;القاهرة\nفاطمة;بغداد\n", "cp1256", "windows-1256"),
    ("ชื่อ;เมือง\nสมชาย;กรุงเทพมหานคร\n", "cp874", "windows-874"),
    (f"{'a;b;c' * 5}\n" * 20_000 + RUSSIAN, "cp1251", "windows-1251"),
    ("Réunion à l'hôtel : coût de 1 200\n", "cp1252", "windows-1252"),
    ("Perché la città è così bella?\n", "cp1252", "windows-1252"),
    ("Nazwa;Miasto\nŻółw;Łódź\nGęś;Kraków\n", "cp1250", "windows-1250"),
    ("Příliš žluťoučký kůň úpěl ďábelské ódy.\n", "iso8859-2", "iso8859-2"),
    ("Sensor;Temp\nA;20 °C\nB;21,5 °C\n", "cp1252", "windows-1252"),
    ("C:.\n├───Bücher\n│       größe.txt\n└───Bilder\n", "cp850", "cp850"),
    ("テスト\n", "shift_jis", "Shift_JIS"),
    (GERMAN, "mac_roman", "Mac Roman"),
    ("Réunion à l’hôtel : coût élevé, très déçu\n", "mac_roman", "Mac Roman"),
    (GERMAN, "cp850", "cp850"),
    ("Verzeichnis von C:\\Büro\n05.01.2026  Größe für Bücher\n", "cp850", "cp850"),
    ("Zażółć gęślą jaźń, proszę o informację.\n", "cp852", "cp852"),
    ("IT-отдел; USB-кабель; iPhone; Wi-Fi роутер\n", "cp1251", "windows-1251"),
    ("Ordine già pagato: è più bella così\n", "cp1252", "windows-1252"),
    ("§ 5\n", "cp1252", "windows-1252"),
    ("½ cup\n", "cp1252", "windows-1252"),
    ("Jméno;Město\nŘehoř;Plzeň\nŽofie;Děčín\n", "cp1250", "windows-1250"),
    ("név;ár\nőszibarack;200\nsütőtök;300\n", "cp1250", "windows-1250"),
    ("Labas rytas, siunčiu jums sąskaitą už spalį.\n", "cp1257", "windows-1257"),
    ("Nombre;Dirección;Año\nNúñez;Cañón 5;2026\nMuñoz;Ávila;2025\n", "cp850", "cp850"),
    ("20 °C, über 25 °C, schön größer\n", "mac_roman", "Mac Roman"),
    ("T셔츠 5kg용; iPhone 케이스\n", "cp949", "EUC-KR"),
    ("iPhone用ケース\nTシャツ 5kg入り\n", "cp932", "Shift_JIS"),
    ("┌───┐\n│ A │\n└───┘\nTotal: 5\n", "cp437", "cp850"),
    ("ÄÄNI, PÄÄTÖS, ÕÕS, HÄÄYÖAIE\n", "cp1252", "windows-1252"),
    ("Имя;Город\nИванов Пётр;Москва\nЯ;Уфа\n", "mac_cyrillic", "Mac Cyrillic"),
    ("Здравствуйте! Отправляю вам счёт. Ольга\n", "mac_cyrillic", "Mac Cyrillic"),
    ("Здравствуйте! Отправляю вам счёт. «МосКвич»\n", "cp1251", "windows-1251"),
    ("Conceição é coração; ações; Réunion, éè\n", "cp1252", "windows-1252"),
    ("NAME     SUM\nADA      00005\nDear customer, 3 of 5.\n", "cp037", "EBCDIC"),
    ("5 €; 20 °C; 3 m²; ½; à\xa0vis; geht´s; NeueÄnderung; “Größe”\n", "cp1252", "windows-1252"),
]


@pytest.mark.parametrize(("text", "charset", "guess"), GUESSED)
def test_charset_that_nothing_names_is_guessed_and_said(text: str, charset: str, guess: str) -> None:
    letters = decode(text.encode(charset))
    assert letters is not None
    assert letters.text == text
    assert letters.guess == guess


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("text", [RUSSIAN, JAPANESE, GERMAN, "a\nb\n"])
def test_unicode_needs_no_guess_with_a_mark_or_without(text: str, charset: str) -> None:
    letters = decode(text.encode(charset))
    assert letters is not None
    assert (letters.text, letters.guess) == (text, "")


CONTENTS = [
    (JAPANESE.encode("iso2022_jp"), JAPANESE, ""),
    (b"\x1b[31mbad\x1b[0m\x1b(B\x1b[m", "\x1b[31mbad\x1b[0m\x1b(B\x1b[m", ""),
    (b"abc\n" + b"\0" * 512, "abc\n", ""),
    (b"abc\n\x1a", "abc\n", ""),
    (b"\0" * 200_000 + b"abc\n", "abc\n", ""),
    (b"abc\n" + b"\0" * 4_096 + "Größe\n".encode(), "abc\nGröße\n", ""),
    (b"1\x1fAda\x1e2\x1fBob\n", "1␟Ada␞2␟Bob\n", ""),
    (b"8=FIX.4.2\x0135=D\x01 one\x02two\x03 one\x1ctwo\x1d", "8=FIX.4.2␁35=D␁ one␂two␃ one␜two␝", ""),
    (
        b"N\bNA\bA: twelve days\nBuilding 10%\b\b\b20%\x07\n\bok\x7f\x0b\0.\n",
        "NA: twelve days\nBuilding 20%\nok\n.\n",
        "",
    ),
    (("Größe 3\n" * 9 + "\0").encode("cp1252") + b"4\n", "Größe 3\n" * 9 + "4\n", "windows-1252"),
    ("naïve – so\n".encode() * 9 + "Größe".encode("cp1252"), "naïve – so\n" * 9 + "Größe", "utf-8"),
    ("Müller,1\n".encode() * 3 + "Käse,2\n".encode("cp1252"), "Müller,1\n" * 3 + "Käse,2\n", "utf-8"),
    (b"\xff\xfe" + "Größe 5\n".encode("utf-16-le") * 9 + b"\x3d\xd8", "Größe 5\n" * 9 + "\ufffd", ""),
    (b"\xfe\xff" + "Größe 5\n".encode("utf-16-be") * 9 + b"\xd8\x3d\0a", "Größe 5\n" * 9 + "\ufffda", ""),
    ("A 5\x85B 6\x85".encode("cp037") * 9, "A 5\nB 6\n" * 9, "EBCDIC"),
    (GERMAN.encode("cp1252").replace(b"\n", b"\r\n"), GERMAN, "windows-1252"),
    (b"", "", ""),
]


@pytest.mark.parametrize(("content", "text", "guess"), CONTENTS)
def test_marks_paddings_and_mixtures_are_read(content: bytes, text: str, guess: str) -> None:
    letters = decode(content)
    assert letters is not None
    assert (letters.text, letters.guess) == (text, guess)


@pytest.mark.parametrize(
    "content",
    [
        b"ab\0" * 1_000,
        b"\x01\x02",
        b"\0" * 9,
        bytes(range(256)) * 10,
        b"\xc1\xc2\xc3@\x12\x3c\x0c" * 99,
        b"\x7fELF\2\1\1" + b"\0" * 9,
    ],
)
def test_bytes_of_no_text_are_refused(content: bytes) -> None:
    assert decode(content) is None
    with pytest.raises(Unreadable) as caught:
        formats.read(Format.TEXT, content)
    assert caught.value.refusal is Obstacle.KIND


DECLARED = [
    ("iso-8859-1", "cp1252", "“5 €” – ok", ""),
    ("iso-8859-9", "cp1254", "“Güneş”", ""),
    ("us-ascii", "utf-8", "Grüße – ok", ""),
    ("windows-1252", "utf-8", "Привет", ""),
    ("iso-8859-1", "utf-8", "ü", ""),
    ("gb2312", "utf-8", "你好", ""),
    ("gb2312", "gbk", "镕基", ""),
    ("gb2312", "gb18030", "㐀 €", ""),
    ("gb_2312-80", "gbk", "镕基", ""),
    ("x-gbk", "gbk", "镕基", ""),
    ("ks_c_5601", "cp949", "똠방각하", ""),
    ("ks_c_5601-1987", "cp949", "똠방각하", ""),
    ("shift_jis", "cp932", "①髙", ""),
    ("x-sjis", "cp932", "日本", ""),
    ("iso-2022-jp", "iso2022_jp", "日本語", ""),
    ("big5", "cp950", "臺北 €", ""),
    ("big5", "big5hkscs", "啲嘢", ""),
    ("hz-gb-2312", "hz", "你好", ""),
    ("unicode-1-1-utf-7", "utf-7", "Grüße", ""),
    ("utf8mb4", "utf-8", "Grüße 🙂", ""),
    ("cp-850", "cp850", "Grüße", ""),
    ("windows-874", "cp874", "สมชาย", ""),
    ("iso-8859-8-i", "iso8859-8", "שלום", ""),
    ("x-mac-roman", "mac_roman", "Grüße", ""),
    ("unicode", "ascii", "hello", ""),
    ("utf-16", "utf-16-le", "hello", ""),
    ("utf-8", "cp1252", "Grüße aus Köln", "windows-1252"),
    ("latin-2", "iso8859-2", "Účet", ""),
    ("iso-latin-2-unix", "iso8859-2", "Účet", ""),
    ("ansinew", "cp1252", "Grüße", ""),
    ("applemac", "mac_roman", "Grüße", ""),
    ("x-mac-thai", "cp874", "สมชาย", ""),
    ("x-unknown", "cp1252", "Grüße aus Köln", "windows-1252"),
    ("x-unknown", "utf-8", "Grüße", ""),
    ("zlib", "utf-8", "Grüße", ""),
    ("punycode", "ascii", "a-b", ""),
    ("", "cp1251", RUSSIAN, "windows-1251"),
]


@pytest.mark.parametrize(("declared", "written", "text", "guess"), DECLARED)
def test_declared_charset_counts_if_it_can_be_true(declared: str, written: str, text: str, guess: str) -> None:
    letters = decode(text.encode(written), (declared,))
    assert letters is not None
    assert (letters.text, letters.guess) == (text, guess)


@pytest.mark.parametrize("name", ["zlib", "rot13", "punycode", "idna", "undefined", "unicode_escape", "none", "", "ß"])
def test_what_stores_no_text_is_no_charset(name: str) -> None:
    assert python_charset(name) == ""


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        (Format.MAIL, "Subject: =?iso-8859-2?q?=A3=F3d=BC?=\n\nGrüße".encode(), "Subject: Łódź\n\n---\n\nGrüße"),
        (Format.MAIL, b"Subject: =?x-sjis?b?k/qWew==?=\n\nx", "Subject: 日本\n\n---\n\nx"),
        (Format.MAIL, b"Subject: =?x-none?q?=A3?=\n\nx", "Subject: £\n\n---\n\nx"),
        (Format.CSV, RUSSIAN.encode("cp1251"), "| Имя | Город | Сумма |"),
        (Format.TEXT, JAPANESE.encode("euc_jis_2004") + "カタカナのテキストとひらがな".encode("euc_jp"), "名前"),
        (Format.HTML, "<html><meta charset=cp-850><p>Grüße".encode("cp850"), "Grüße"),
    ],
)
async def test_charsets_are_known_once_files_are_denied(kind: Format, content: bytes, shown: str) -> None:
    read = await read_document(kind, content)
    assert isinstance(read, Document)
    assert read.text.startswith(shown)


LOADS = """
import json, sys
from files_to_markdown import charsets
charsets.load_codecs()
charsets.load_detector(b"\\xe4")

def deny(event, arguments):
    if event in ("open", "import", "os.listdir"):
        raise OSError(event)

sys.addaudithook(deny)
texts = json.loads(sys.stdin.read())
read = [charsets.decode(text.encode(charset)).text for text, charset in texts]
names = [charsets.python_charset(one) for one in ("iso-8859-16", "x-mac-ce", "IBM037", "cp-1125", "utf8mb3", "x-none")]
print(json.dumps([read, names]))
"""


def test_nothing_is_opened_once_codecs_and_the_detector_are_loaded() -> None:
    texts = [(text, charset) for text, charset, _ in GUESSED]
    ran = subprocess.run(
        [sys.executable, "-c", LOADS], input=json.dumps(texts).encode(), capture_output=True, check=True
    )
    assert json.loads(ran.stdout) == [
        [text for text, _ in texts],
        ["iso8859-16", "mac-latin2", "cp037", "cp1125", "utf-8", ""],
    ]


@pytest.mark.parametrize("name", ["notes.txt", "notes.csv"])
def test_text_in_another_charset_is_a_document(name: str) -> None:
    content = RUSSIAN.encode("cp1251")
    read = formats.read(document_kind(name, "", content) or Format.TEXT, content)
    assert read.guessed_charset == "windows-1251"
    assert read.is_markdown is name.endswith("csv")
    assert "Санкт-Петербург" in read.text


FORMS = [
    ("% x\n\\inputencoding{koi8-r}\nИмя", "koi8-r"),
    ("\\RequirePackage [cp1251] {inputenc}\nИмя", "cp1251"),
    ("% !TEX encoding = cp1251\nИмя", "cp1251"),
    ("# vim: set fileencoding=cp1251 :\nИмя", "cp1251"),
    ("/*!40101 SET NAMES cp1251 */;\nИмя", "cp1251"),
    ("#pragma code_page(1251)\nИмя", "cp1251"),
    ("@charset 'windows-1251';\nИмя", "cp1251"),
    ('"Content-Type: text/plain; charset=KOI8-R\\n"\nИмя', "koi8-r"),
    (f"BEGIN:VCARD\n{'NOTE:x' * 500}\nFN;CHARSET=windows-1251:Имя", "cp1251"),
]


@pytest.mark.parametrize(("text", "charset"), FORMS, ids=[text[:20] for text, _ in FORMS])
def test_charset_is_read_in_the_form_in_which_a_text_declares_it(text: str, charset: str) -> None:
    assert formats.read(Format.TEXT, text.encode(charset)) == Document(text, is_markdown=False)
