//! Words in titles of columns, as [`super::plain`] spells them.

/// Words for WhatsApp.
#[rustfmt::skip]
pub(super) const WHATSAPP: &[&str] = &[
    "whatsapp", "whatsappnumber", "whatsappno", "whatsappphone", "whats", "wa", "zap", "واتساب", "واتس", "וואטסאפ",
    "ווטסאפ", "व्हाट्सएप", "व्हाट्सऐप", "वॉट्सऐप", "হোয়াটসঅ্যাপ", "вотсап", "ватсап", "вацап", "ワッツアップ", "왓츠앱",
];

/// Words for a mobile phone and its number.
#[rustfmt::skip]
pub(super) const MOBILE: &[&str] = &[
    "mobile", "mobil", "mob", "mobno", "mobilephone", "mobilenumber", "mobileno", "cell", "cellphone", "cellnumber", "cellular",
    "handy", "handynummer", "handynr", "mobilnummer", "mobilfunk", "mobilfunknummer", "mobiltelefon", "mobilnr",
    "mobiltelefonnummer", "movil", "celular", "celulares", "telemovel", "cellulare", "portable", "mobiel", "mobiele",
    "mobielnummer", "gsm", "gsmnummer", "matkapuhelin", "matkapuhelinnumero", "komorka", "komorkowy", "komorkowa",
    "komorkowego", "mobilni", "mobilny", "cep", "iphone", "мобильный", "мобильного", "мобила", "сотовый", "сотового",
    "мобільний", "κινητό", "κινητο", "جوال", "الجوال", "موبايل", "الموبايل", "المحمول", "محمول", "همراه", "נייד",
    "सेल", "मोबाइल", "মোবাইল", "மொபைல்", "มือถือ", "เบอร์มือถือ", "didong", "携帯", "携帯電話", "携帯番号", "携帯電話番号", "手机",
    "手机号", "手机号码", "手機", "手機號", "手機號碼", "移动电话", "行動電話", "휴대폰", "휴대폰번호", "휴대전화", "휴대전화번호", "핸드폰", "핸드폰번호", "hp",
    "ponsel", "seluler",
];

/// Words for a phone and its number.
#[rustfmt::skip]
pub(super) const PHONE: &[&str] = &[
    "phone", "phones", "ph", "phno", "phonenumber", "phoneno", "phonenum", "tel", "telephone", "telephonenumber", "telefon",
    "telefone", "telefono", "telefoon", "telefoonnummer", "telefonnummer", "telefonnr", "telefonszam", "telnr",
    "telno", "telnummer", "rufnummer", "fon", "msisdn", "puhelin", "puhelinnumero", "telefonu", "telefonni", "e164",
    "телефон", "телефона", "телефоны", "тел", "τηλέφωνο", "τηλεφωνο", "هاتف", "الهاتف", "تليفون", "التليفون", "تلفن",
    "טלפון", "फोन", "फ़ोन", "दूरभाष", "ফোন", "தொலைபேசி", "โทรศัพท์", "เบอร์โทร", "เบอร์โทรศัพท์", "thoai", "sdt",
    "sđt", "telpon", "telepon", "telp", "電話", "電話番号", "電話號碼", "电话", "电话号码", "联系电话", "聯絡電話", "전화", "전화번호", "연락처",
];

/// Words for a line that is no person's mobile; a number beside them is asked last.
#[rustfmt::skip]
pub(super) const LANDLINE: &[&str] = &[
    "home", "business", "work", "office", "landline", "other", "festnetz", "privat", "private",
    "dienstlich", "geschaftlich", "buro", "arbeit", "fixe", "fijo", "fixo", "fisso", "domicile", "maison", "bureau",
    "travail", "casa", "trabajo", "trabalho", "ufficio", "lavoro", "domaci", "рабочий", "домашний", "стационарный",
    "العمل", "المنزل", "自宅", "会社", "勤務先", "座机", "固定电话", "固話", "집", "회사",
];

/// Words for a number.
#[rustfmt::skip]
pub(super) const NUMBER: &[&str] = &[
    "number", "numbers", "no", "nr", "num", "numer", "nummer", "numero", "numeros", "номер", "номера", "رقم", "شماره",
    "מספר", "नंबर", "नम्बर", "নম্বর", "நம்பர்", "หมายเลข", "เบอร์", "nomor", "so", "番号", "号码", "號碼", "번호", "numarası",
    "numarasi", "cislo", "szam",
];

/// Words that say nothing of what a number is, and may stand beside those that do.
#[rustfmt::skip]
pub(super) const QUALIFIER: &[&str] = &[
    "primary", "main", "personal", "value", "contact", "full", "my", "default", "international", "de", "du", "da",
    "do", "del", "della", "di", "der", "des", "the", "of", "la", "le", "el", "il", "n", "principal", "haupt",
    "hauptnummer", "personale", "pessoal", "contacto", "kontakt", "contato", "iletisim", "đien", "dien", "dong",
    "контактный",
];

/// Titles of a whole name.
#[rustfmt::skip]
pub(super) const FULL_NAME: &[&str] = &[
    "full name", "fullname", "contact name", "customer name", "display name", "nombre completo", "nombre y apellidos",
    "nombre y apellido", "nom complet", "nom et prenom", "prenom et nom", "nome completo", "nome e cognome",
    "vollstandiger name", "vor und nachname", "name vorname", "vorname nachname", "volledige naam", "naam",
    "imie i nazwisko", "navn", "namn", "fullt navn", "nimi", "ad soyad", "adi soyadi", "isim", "имя и фамилия",
    "фамилия и имя", "фио", "ф и о", "имя фамилия", "піб", "ονοματεπώνυμο", "όνομα", "الاسم", "الاسم الكامل", "اسم",
    "نام", "שם", "שם מלא", "नाम", "पूरा नाम", "নাম", "பெயர்", "ชื่อ", "ชื่อ นามสกุล", "nama", "nama lengkap",
    "ho ten", "ho va ten", "ten", "氏名", "名前", "お名前", "姓名", "名字", "이름", "성명", "성함",
];

/// Titles of a whole name, or of a given name where another column holds the family's.
#[rustfmt::skip]
pub(super) const OTHERWISE_FULL: &[&str] = &[
    "nombre", "nome", "имя", "ім я", "名", "jmeno", "meno", "nev", "prenume", "ad", "adi",
];

/// Titles of a given name.
#[rustfmt::skip]
pub(super) const GIVEN_NAME: &[&str] = &[
    "vorname", "prenom", "voornaam", "imie",
    "fornavn", "fornamn", "etunimi", "primer nombre", "nombres", "primeiro nome", "الاسم الأول", "שם פרטי",
    "पहला नाम",
];

/// Titles of the names between.
#[rustfmt::skip]
pub(super) const MIDDLE_NAME: &[&str] = &[
    "middle name", "middlename", "additional name", "segundo nombre", "nome do meio", "zweiter vorname", "отчество",
    "tussenvoegsel",
];

/// Titles of a family's name.
#[rustfmt::skip]
pub(super) const FAMILY_NAME: &[&str] = &[
    "last name", "lastname", "family name", "familyname", "surname", "nachname", "familienname", "apellido",
    "apellidos", "apellido paterno", "nom de famille", "cognome", "sobrenome", "apelido", "achternaam", "nazwisko",
    "etternavn", "efternavn", "efternamn", "sukunimi", "soyad", "soyadi", "фамилия", "прізвище", "prijmeni",
    "priezvisko", "اسم العائلة", "שם משפחה", "उपनाम", "姓",
];

/// Titles of a column that says who does not want messages.
#[rustfmt::skip]
pub(super) const OPTED_OUT: &[&str] = &[
    "opted out", "opt out", "optout", "optedout", "whatsapp opt out", "whatsapp opted out", "opted out of whatsapp",
    "unsubscribed", "unsubscribe", "do not contact", "do not message", "donotcontact", "dnc", "abgemeldet",
    "desabonne", "desinscrit", "baja", "dado de baja", "descadastrado", "disiscritto", "afgemeld", "avregistrerad",
    "отписан", "отписался",
];

/// Words for a way to reach a person; with a number they name a phone.
pub(super) const CONTACT: &[&str] = &["contact", "contacto", "kontakt", "contato", "contatto", "контактный"];

/// Words for what no person answers.
pub(super) const FAX: &[&str] = &["fax", "telefax", "pager", "факс", "فاكس", "传真", "팩스"];

/// Words for the person whose phone it is; a number beside them is no phone's.
#[rustfmt::skip]
pub(super) const OWNER: &[&str] = &[
    "customer", "client", "cliente", "clientes", "kunde", "kunden", "user", "member", "guest", "billing", "shipping",
    "delivery", "address", "recipient", "lead", "buyer", "student", "patient", "subscriber",
];
