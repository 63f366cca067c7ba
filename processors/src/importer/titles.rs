//! What the title of a column says that it holds, in the large languages.

mod words;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use wasend_domain::phone::is_invisible_mark;

use words::{
    CONTACT, FAMILY_NAME, FAX, FULL_NAME, GIVEN_NAME, LANDLINE, MIDDLE_NAME, MOBILE, NUMBER, OPTED_OUT, OTHERWISE_FULL,
    OWNER, PHONE, QUALIFIER, WHATSAPP,
};

/// Which of several columns with numbers is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PhoneRank {
    WhatsApp,
    Mobile,
    Phone,
    Landline,
    /// A title that speaks of a number, or of how to reach somebody, and not of a phone.
    Number,
    /// An id of WhatsApp.
    WaId,
}

/// What a title says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TitleMeaning {
    Phone(PhoneRank),
    Bsuid,
    FullName,
    /// The whole name, or a part of it where other columns hold the other part.
    NameOrGivenName,
    NameOrFamilyName,
    /// In English, where `Name` beside it is the whole.
    FirstName,
    /// In other languages, where `Name` beside it is the family's.
    GivenName,
    MiddleName,
    FamilyName,
    OptedOut,
    Unknown,
}

/// What the title says that its column holds.
pub(crate) fn meaning(title: &str) -> TitleMeaning {
    let words = words_of(title);
    let whole = words.join(" ");
    let is = |list: &[&str]| list.contains(&whole.as_str());
    match whole.as_str() {
        "" => TitleMeaning::Unknown,
        "bsuid" | "whatsapp bsuid" | "business scoped user id" => TitleMeaning::Bsuid,
        "wa id" | "waid" | "whatsapp id" => TitleMeaning::Phone(PhoneRank::WaId),
        // Between a phone and a name in German: "Name" is the family's where "Vorname" stands beside it.
        "name" | "nom" => TitleMeaning::NameOrFamilyName,
        _ if is(OPTED_OUT) => TitleMeaning::OptedOut,
        _ if is(FULL_NAME) => TitleMeaning::FullName,
        _ if is(OTHERWISE_FULL) => TitleMeaning::NameOrGivenName,
        "first name" | "firstname" | "given name" | "givenname" | "forename" => TitleMeaning::FirstName,
        _ if is(GIVEN_NAME) => TitleMeaning::GivenName,
        _ if is(MIDDLE_NAME) => TitleMeaning::MiddleName,
        _ if is(FAMILY_NAME) => TitleMeaning::FamilyName,
        _ => phone_rank(&words).map_or(TitleMeaning::Unknown, TitleMeaning::Phone),
    }
}

/// Whether a label beside a number, such as `Mobile` or `Work Fax`, says what kind it is.
pub(crate) fn label_rank(label: &str) -> Option<PhoneRank> {
    let words = words_of(label);
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let ranks = [(WHATSAPP, PhoneRank::WhatsApp), (MOBILE, PhoneRank::Mobile), (LANDLINE, PhoneRank::Landline)];
    ranks.into_iter().find(|(list, _)| any(list)).map(|(_, rank)| rank)
}

/// Every word must be about phones: `Phone Type` and `WhatsApp consent` are none.
fn phone_rank(words: &[String]) -> Option<PhoneRank> {
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let known = [WHATSAPP, MOBILE, PHONE, LANDLINE, NUMBER, QUALIFIER, OWNER];
    let is_known = |word: &String| known.iter().any(|list| list.contains(&word.as_str())) || is_count(word);
    if words.is_empty() || !words.iter().all(is_known) {
        return None;
    }
    let (is_phone, is_number) = (any(PHONE), any(NUMBER) && !any(LANDLINE) && !any(OWNER));
    match () {
        () if any(WHATSAPP) => Some(PhoneRank::WhatsApp),
        () if any(MOBILE) => Some(PhoneRank::Mobile),
        () if is_phone && any(LANDLINE) => Some(PhoneRank::Landline),
        () if is_phone => Some(PhoneRank::Phone),
        // `No.` alone numbers the rows.
        () if is_number && (any(CONTACT) || words.iter().any(|word| is_long_number_word(word))) => {
            Some(PhoneRank::Number)
        }
        () => None,
    }
}

fn is_long_number_word(word: &str) -> bool {
    NUMBER.contains(&word) && word.chars().count() > if word.is_ascii() { 3 } else { 1 }
}

/// Whether a label says that no person answers the number.
pub(crate) fn is_fax(label: &str) -> bool {
    words_of(label).iter().any(|word| FAX.contains(&word.as_str()))
}

fn is_count(word: &str) -> bool {
    word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words of a title: small, without accents of the Latin script, without what no reader sees, and without the digits
/// that number it.
fn words_of(title: &str) -> Vec<String> {
    let plain = plain(title).replace("whats app", "whatsapp").replace("e 164", "e164");
    let words = plain.split(' ').filter(|word| !word.is_empty());
    let unnumbered = |word: &str| {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if stem.is_empty() || word == "e164" { word.to_owned() } else { stem.to_owned() }
    };
    words.map(unnumbered).collect()
}

/// One spelling of a title: what is no letter and no digit becomes a blank.
pub(crate) fn plain(title: &str) -> String {
    let mut plain = String::with_capacity(title.len());
    for c in title.chars().filter(|c| !is_invisible_mark(*c)).nfkc().flat_map(char::to_lowercase).nfc() {
        let base = std::iter::once(c).nfd().next().unwrap_or(c);
        match c {
            _ if base.is_ascii_alphanumeric() => plain.push(base),
            '\u{300}'..='\u{36f}' => {}
            _ if c.is_alphanumeric() || is_combining_mark(c) => plain.push(c),
            _ if plain.ends_with(' ') || plain.is_empty() => {}
            _ => plain.push(' '),
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_the_large_languages_are_known() {
        for (titles, rank) in [
            ("WhatsApp|WhatsApp Phone Number|whatsapp_number|Whats App no.|Nº de WhatsApp|واتساب", PhoneRank::WhatsApp),
            (
                "Mobile|Mobile Phone|mobile_number|MobilePhone|Cell|Cell Phone #|Primary Mobile|Handy|Handynummer|Handy-Nr.|\
                 Mobilfunknummer|Móvil|Teléfono móvil|Celular|Número de celular|Téléphone portable|Portable|Cellulare|\
                 Telemóvel|Mobiel nummer|Telefon komórkowy|Cep Telefonu|Мобильный телефон|Сотовый|الجوال|رقم الجوال|\
                 मोबाइल नंबर|মোবাইল নম্বর|มือถือ|เบอร์มือถือ|携帯電話|携帯電話番号|手机|手机号|手机号码|手機號碼|휴대폰 번호|No. HP|GSM|Matkapuhelin",
                PhoneRank::Mobile,
            ),
            (
                "phone|Phone Number|phone_number|PhoneNumber|Phone 1 - Value|Phone1|Tel|Tel.|Telephone|MSISDN|Telefon|\
                 Telefonnummer|Telefon-Nr.|Rufnummer|Teléfono|Número de teléfono|Téléphone|N° de téléphone|Telefone|Telefono|\
                 Numero di telefono|Telefoonnummer|Numer telefonu|Телефон|Номер телефона|Τηλέφωνο|Τηλεφωνο|\
                 رقم الهاتف|هاتف|تلفن|טלפון|מספר טלפון|फ़ोन नंबर|ফোন নম্বর|โทรศัพท์|เบอร์โทรศัพท์|電話番号|電話|电话|电话号码|联系电话|\
                 전화번호|연락처|Số điện thoại|SĐT|Nomor Telepon|Primary Phone|Customer Phone|billing_phone|Default Address Phone|Ph No.|Phone\u{a0}Number|\u{200e}Phone",
                PhoneRank::Phone,
            ),
            ("Home Phone|Business Phone 2|Work Phone|Other Phone|Festnetz-Telefon|Teléfono fijo", PhoneRank::Landline),
            ("number|Contact Number|Contact No.|Numero|Номер|رقم", PhoneRank::Number),
            ("wa_id|WA ID", PhoneRank::WaId),
        ] {
            for title in titles.split('|') {
                assert_eq!(meaning(title), TitleMeaning::Phone(rank), "{title:?} {:?}", words_of(title));
            }
        }
    }

    #[test]
    fn what_only_speaks_of_phones_is_no_number() {
        for title in [
            "Phone 1 - Type",
            "Phone Type",
            "WhatsApp consent",
            "WhatsApp opt-in",
            "Mobile app",
            "Phone model",
            "Home Fax",
            "Assistant's Phone",
            "Company Main Phone",
            "Phone verified",
            "House number",
            "Order number",
            "No",
            "Contact",
            "Customer",
            "Customer number",
            "Member No.",
            "Home",
            "N",
            "#",
            "1",
            "City",
            "Country code",
            "Phone extension",
            "Telefonica",
        ] {
            assert_eq!(meaning(title), TitleMeaning::Unknown, "{title}");
        }
    }

    #[test]
    fn names_and_opt_outs_are_known() {
        for (titles, expected) in [
            (
                "Full Name|full_name|contact_name|Nombre completo|氏名|Имя и фамилия|ФИО|الاسم|이름",
                TitleMeaning::FullName,
            ),
            ("Vorname|Prénom|Voornaam|Imię", TitleMeaning::GivenName),
            ("First Name|Given Name|first_name", TitleMeaning::FirstName),
            (
                "Last Name|Family Name|Surname|Nachname|Apellido|Apellidos|Cognome|Фамилия|Soyad",
                TitleMeaning::FamilyName,
            ),
            ("Nombre|Nome|Имя|名", TitleMeaning::NameOrGivenName),
            ("Name|Nom", TitleMeaning::NameOrFamilyName),
            ("Middle Name|Additional Name|Отчество", TitleMeaning::MiddleName),
            ("opted_out|Opt-out|Unsubscribed|Do not contact|Abgemeldet|Désabonné|Baja", TitleMeaning::OptedOut),
        ] {
            for title in titles.split('|') {
                assert_eq!(meaning(title), expected, "{title}");
            }
        }
    }

    #[test]
    fn labels_rank_numbers() {
        assert_eq!(label_rank("* Mobile"), Some(PhoneRank::Mobile));
        assert_eq!(label_rank("WhatsApp"), Some(PhoneRank::WhatsApp));
        assert_eq!(label_rank("Work Fax"), Some(PhoneRank::Landline));
        assert_eq!(label_rank("Main"), None);
        assert!(is_fax("Work Fax") && is_fax("pager") && !is_fax("Work"));
    }

    #[test]
    fn every_word_is_as_titles_are_read() {
        for list in [WHATSAPP, MOBILE, PHONE, LANDLINE, NUMBER, QUALIFIER, CONTACT, FAX, OWNER] {
            for word in list {
                assert_eq!(words_of(word), [*word], "{word}");
            }
        }
        for list in [FULL_NAME, OTHERWISE_FULL, GIVEN_NAME, MIDDLE_NAME, FAMILY_NAME, OPTED_OUT] {
            for word in list {
                assert_eq!(words_of(word).join(" "), *word);
            }
        }
    }
}
