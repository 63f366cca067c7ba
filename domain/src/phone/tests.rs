use super::*;

#[test]
fn understands_the_spellings_people_use() {
    for text in ["+1 650-555-1234", "+1 (650) 555 1234", "0016505551234", "tel:+16505551234", " +16505551234 "] {
        assert_eq!(PhoneNumber::parse(text).map(String::from), Ok("+16505551234".to_owned()), "{text}");
    }
    assert_eq!(PhoneNumber::parse("+４４７９１１１２３４５６").map(String::from), Ok("+447911123456".to_owned()));
}

#[test]
fn keeps_possible_numbers_that_are_not_valid() {
    for text in ["+15550783881", "+551112345678", "+5215512345678"] {
        assert!(PhoneNumber::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn says_what_is_wrong() {
    let cases = [
        ("6505551234", InvalidPhone::NoCountryCode),
        ("hello", InvalidPhone::Unreadable),
        ("", InvalidPhone::Unreadable),
        ("+", InvalidPhone::Unreadable),
        ("+1", InvalidPhone::Unreadable),
        ("+1650555", InvalidPhone::TooShort),
        ("+165055512345678", InvalidPhone::TooLong),
        ("+1650FLOWERS", InvalidPhone::Unreadable),
        ("+999123456789", InvalidPhone::Unreadable),
    ];
    for (text, error) in cases {
        assert_eq!(PhoneNumber::parse(text), Err(error), "{text}");
    }
    assert!(PhoneNumber::parse("+1 650 555 1234;ext=5").is_err());
}

#[test]
fn a_region_completes_numbers_without_country_code() {
    let parse = |text, region: &str| PhoneNumber::parse_in(text, region.parse().ok()).map(String::from);
    assert_eq!(parse("(631) 555-1234", "US"), Ok("+16315551234".to_owned()));
    assert_eq!(parse("0016315551234", "DE"), Ok("+16315551234".to_owned()));
    assert_eq!(parse("09812345678", "IN"), Ok("+919812345678".to_owned()));
    assert_eq!(parse("919812345678", "IN"), Ok("+919812345678".to_owned()));
    assert_eq!(parse("+44 7911 123456", "US"), Ok("+447911123456".to_owned()));
    assert_eq!(parse("9812345678", ""), Err(InvalidPhone::NoCountryCode));
    assert!("XX".parse::<PhoneRegion>().is_err() && "de".parse::<PhoneRegion>().is_ok());
}

#[test]
fn what_surrounds_a_number_is_left_away() {
    for text in [
        "+16505551234.0",
        "+16505551234.00",
        "+16505551234,0",
        "whatsapp:+16505551234",
        "whatsapp:16505551234",
        "https://wa.me/+16505551234",
        "https://wa.me/16505551234",
        "wa.me/16505551234/",
        "https://wa.me/16505551234?text=Hello%20there",
        "https://api.whatsapp.com/send?phone=16505551234&text=Hi",
        "whatsapp://send?phone=%2B16505551234",
        "16505551234@s.whatsapp.net",
        "16505551234@c.us",
        "\u{202a}+1 650\u{a0}555\u{2009}1234\u{202c}",
        "+1 650 555\u{ad}1234\u{200b}",
        "+१६५०५५५१२३४",
        "+১৬৫০৫৫৫১২৩৪",
        "+๑๖๕๐๕๕๕๑๒๓๔",
        "+1/650 5551234",
    ] {
        assert_eq!(PhoneNumber::parse(text).map(String::from), Ok("+16505551234".to_owned()), "{text}");
    }
    // A link is international, whatever the region.
    let german = PhoneNumber::parse_in("https://wa.me/16505551234", "DE".parse().ok());
    assert_eq!(german.map(String::from), Ok("+16505551234".to_owned()));
    for text in ["16505551234@s.whatsapp.net", "16505551234", "https://wa.me/16505551234", "+1 650 555 1234"] {
        assert_eq!(PhoneNumber::parse_wa_id(text).map(String::from), Ok("+16505551234".to_owned()), "{text}");
    }
}

#[test]
fn no_digits_of_two_numbers_make_a_third() {
    for text in [
        "+1 650-555-1201 ::: +1 651-555-1201",
        "+16505551202,+16515551202",
        "+16505551203;+16515551203",
        "+1 650 555 1204 / +1 651 555 1204",
        "+16505551205\n+16515551205",
        "+49 151 23456704/05",
        "+6281234567820|21",
    ] {
        assert_eq!(PhoneNumber::parse(text), Err(InvalidPhone::Several), "{text}");
    }
    let at = "AT".parse().ok();
    assert_eq!(PhoneNumber::parse_in("0660 1234568/69", at), Err(InvalidPhone::Several));
    assert_eq!(PhoneNumber::parse_in("0660/1234568", at).map(String::from), Ok("+436601234568".to_owned()));
    assert_eq!(PhoneNumber::parse("+4915112345621.5"), Err(InvalidPhone::Unreadable));
    for text in [
        "+1 650 555 1234 x12",
        "+1 650 555 1234 ext. 12",
        "+49 30 1234567 Durchwahl 8",
        "+16505551234#5",
        "tel:+1-650-555-1234;ext=12",
        "+55 11 3456-7890 ramal 5",
        "+81 3-1234-5678 内線12",
    ] {
        assert_eq!(PhoneNumber::parse(text), Err(InvalidPhone::Extension), "{text}");
    }
}

#[test]
fn a_number_that_begins_with_the_countrys_code_is_that_number() {
    let parse = |text| PhoneNumber::parse_in(text, "DE".parse().ok()).map(String::from);
    for (text, number) in [
        ("491512345601", "+491512345601"),
        ("4915123456702", "+4915123456702"),
        ("491723456703", "+491723456703"),
        ("(49) 151-23456706", "+4915123456706"),
        ("015123456701.0", "+4915123456701"),
        ("15123456701", "+4915123456701"),
    ] {
        assert!(
            matches!(parse(text), Err(InvalidPhone::Ambiguous)) || parse(text) == Ok(number.to_owned()),
            "{text}: {:?}",
            parse(text)
        );
    }
}

#[test]
fn double_spellings_are_candidates_of_each_other() {
    for (one, two) in
        [("+5511987654321", "+551187654321"), ("+5491123456789", "+541123456789"), ("+525512345678", "+5215512345678")]
    {
        let [one, two] = [one, two].map(|text| PhoneNumber::parse(text).unwrap());
        assert_eq!(one.candidates(), [one.clone(), two.clone()]);
        assert_eq!(two.candidates(), [two.clone(), one.clone()]);
        assert_eq!(one.canonical(), two.canonical());
        assert_eq!(one.canonical(), one);
    }
}

#[test]
fn a_landline_is_never_rewritten() {
    for landline in ["+551123456789", "+551134567890", "+16505551234"] {
        let phone = PhoneNumber::parse(landline).unwrap();
        assert_eq!(phone.candidates(), std::slice::from_ref(&phone));
        assert_eq!(phone.canonical(), phone);
    }
}

#[test]
fn tells_a_bsuid_from_a_number() {
    assert!(matches!(MessageRecipient::parse("US.13491208655302741918"), Ok(MessageRecipient::Bsuid(_))));
    assert!(matches!(MessageRecipient::parse("\u{200e}US.134\u{200b} "), Ok(MessageRecipient::Bsuid(_))));
    assert!(matches!(MessageRecipient::parse("US.ENT.11815799212886844830"), Ok(MessageRecipient::Bsuid(_))));
    assert!(matches!(MessageRecipient::parse("+16505551234"), Ok(MessageRecipient::Phone(_))));
    assert!(MessageRecipient::parse("us.134").is_err());
}
