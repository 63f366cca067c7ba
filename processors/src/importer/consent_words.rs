//! What people write into a column that says who does not want messages.

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptOutCell {
    OptedOut,
    Willing,
    /// A word that is not known: it counts as an opt-out, and the row is warned of.
    Unclear,
}

/// Words for yes, of the large languages and of table programs.
const YES: &[&str] = &[
    "true",
    "yes",
    "y",
    "t",
    "1",
    "x",
    "on",
    "ok",
    "opted out",
    "opted_out",
    "opt out",
    "opt-out",
    "optout",
    "unsubscribed",
    "unsubscribe",
    "stop",
    "stopped",
    "blocked",
    "wahr",
    "ja",
    "j",
    "abgemeldet",
    "vrai",
    "oui",
    "o",
    "désabonné",
    "verdadero",
    "verdadeiro",
    "si",
    "sí",
    "s",
    "sim",
    "baja",
    "vero",
    "sì",
    "waar",
    "sand",
    "sant",
    "tosi",
    "kyllä",
    "prawda",
    "tak",
    "ano",
    "áno",
    "pravda",
    "igaz",
    "igen",
    "adevărat",
    "da",
    "да",
    "истина",
    "так",
    "правда",
    "ναι",
    "αληθές",
    "doğru",
    "evet",
    "e",
    "نعم",
    "صحيح",
    "بله",
    "כן",
    "אמת",
    "हाँ",
    "हां",
    "सत्य",
    "হ্যাঁ",
    "ใช่",
    "จริง",
    "benar",
    "ya",
    "đúng",
    "có",
    "vâng",
    "oo",
    "是",
    "真",
    "对",
    "對",
    "はい",
    "○",
    "예",
    "네",
    "참",
    "✓",
    "✔",
    "☑",
    "✅",
];
/// Words for no.
const NO: &[&str] = &[
    "false",
    "no",
    "n",
    "f",
    "0",
    "off",
    "-",
    "–",
    "opted in",
    "opted_in",
    "opt in",
    "opt-in",
    "optin",
    "subscribed",
    "active",
    "falsch",
    "nein",
    "faux",
    "non",
    "falso",
    "não",
    "nao",
    "onwaar",
    "nee",
    "falsk",
    "nej",
    "nei",
    "epätosi",
    "ei",
    "fałsz",
    "nie",
    "ne",
    "nepravda",
    "hamis",
    "nem",
    "fals",
    "nu",
    "нет",
    "ложь",
    "ні",
    "не",
    "όχι",
    "ψευδές",
    "yanlış",
    "hayır",
    "h",
    "لا",
    "خطأ",
    "خیر",
    "לא",
    "שקר",
    "नहीं",
    "असत्य",
    "না",
    "ไม่",
    "ไม่ใช่",
    "เท็จ",
    "salah",
    "tidak",
    "sai",
    "không",
    "hindi",
    "否",
    "假",
    "いいえ",
    "×",
    "아니요",
    "아니오",
    "거짓",
    "✗",
    "✘",
    "☐",
    "❌",
];

/// Reads a cell that is not empty. Case, surrounding punctuation and the decimals of a table program do not matter.
pub(crate) fn opt_out_cell(text: &str) -> OptOutCell {
    let folded = text.trim().to_lowercase();
    let word = folded.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!' | '"' | '\'' | '“' | '”'));
    let word = match word.split_once(['.', ',']) {
        Some((whole, decimals)) if decimals.bytes().all(|b| b == b'0') => whole,
        _ => word,
    };
    if YES.contains(&word) {
        OptOutCell::OptedOut
    } else if NO.contains(&word) || word.is_empty() {
        OptOutCell::Willing
    } else {
        OptOutCell::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_never_counts_as_willing() {
        for yes in [
            "TRUE", "yes", "1", "1.0", "Y", "t", "on", "VRAI", "sim", "ja", "是", "WAHR", "Sí", "да", "نعم", " x ",
            "Yes.",
        ] {
            assert_eq!(opt_out_cell(yes), OptOutCell::OptedOut, "{yes}");
        }
        for no in ["FALSE", "no", "0", "0.0", "N", "nein", "нет", "否", "FAUX", "-"] {
            assert_eq!(opt_out_cell(no), OptOutCell::Willing, "{no}");
        }
        for other in ["2026-01-01", "maybe", "2", "by mail", "jein"] {
            assert_eq!(opt_out_cell(other), OptOutCell::Unclear, "{other}");
        }
        assert!(!YES.iter().any(|word| NO.contains(word)));
    }
}
