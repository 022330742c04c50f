//! Codes that check themselves: IBAN, BIC, CIG, CUP, CPV, SIOPE.

/// Length of an IBAN in each country of the SEPA area.
const SEPA_IBAN_LENGTHS: [(&str, usize); 42] = [
    ("AD", 24),
    ("AL", 28),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GI", 23),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("RS", 22),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("VA", 22),
];

/// What is wrong with an IBAN, if anything: form, length of its country, check digits (ISO 13616, ISO 7064 mod 97-10).
pub(crate) fn iban_fault(iban: &str) -> Option<String> {
    if !iban.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Some("has other characters than A-Z and 0-9; write it without blanks, in capitals".into());
    }
    let bytes = iban.as_bytes();
    let form =
        bytes.len() >= 9 && bytes[..2].iter().all(u8::is_ascii_uppercase) && bytes[2..4].iter().all(u8::is_ascii_digit);
    if !form {
        return Some("does not begin with a country, two check digits and an account".into());
    }
    match sepa_length(iban) {
        Some(length) if length != iban.len() => {
            return Some(format!("has {} characters; one of {} has {length}", iban.len(), &iban[..2]));
        }
        _ => {}
    }
    if matches!(&bytes[..2], b"IT" | b"SM") && !italian_account(&bytes[4..]) {
        return Some("is not one control letter, ten digits and the account".into());
    }
    (mod_97(bytes) != 1).then(|| "has wrong check digits; ask the beneficiary for it again".into())
}

fn italian_account(bban: &[u8]) -> bool {
    bban.first().is_some_and(u8::is_ascii_uppercase)
        && bban.get(1..11).is_some_and(|s| s.iter().all(u8::is_ascii_digit))
}

fn sepa_length(iban: &str) -> Option<usize> {
    SEPA_IBAN_LENGTHS.iter().find(|(country, _)| iban.starts_with(country)).map(|(_, length)| *length)
}

/// Whether a credit transfer in euro within SEPA can reach the account.
pub(crate) fn is_sepa(iban: &str) -> bool {
    sepa_length(iban).is_some()
}

/// The remainder of the rearranged IBAN; letters count from A = 10.
fn mod_97(iban: &[u8]) -> u32 {
    let rotated = iban[4..].iter().chain(&iban[..4]);
    rotated.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.saturating_sub(b'A')) + 10) % 97,
    })
}

/// ISO 9362: bank, country, place, and perhaps branch.
pub(crate) fn is_bic(bic: &str) -> bool {
    let bytes = bic.as_bytes();
    matches!(bytes.len(), 8 | 11)
        && bytes[..6].iter().all(u8::is_ascii_uppercase)
        && bytes[6..].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The forms of a tender code: 7 digits and 3 hexadecimal, or a letter and 9 hexadecimal, capitals.
pub(crate) fn is_cig(cig: &str) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    match cig.as_bytes() {
        [head, tail @ ..] if head.is_ascii_uppercase() => tail.len() == 9 && hex(tail),
        bytes => bytes.len() == 10 && bytes[..7].iter().all(u8::is_ascii_digit) && hex(&bytes[7..]),
    }
}

/// A project code: 15 capitals and digits.
pub(crate) fn is_cup(cup: &str) -> bool {
    cup.len() == 15 && cup.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A procurement code: 8 digits, hyphen, check digit.
pub(crate) fn is_cpv(cpv: &str) -> bool {
    matches!(cpv.split_once('-'), Some((code, check)) if is_digits(code, 8..=8) && is_digits(check, 1..=1))
}

/// A SIOPE code: 4 digits (health bodies) or 10 (harmonised accounts). The schema takes 4 to 10; none has another length.
pub(crate) fn is_siope(code: &str) -> bool {
    is_digits(code, 4..=4) || is_digits(code, 10..=10)
}

/// An IPA office code.
pub(crate) fn is_ipa(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Digits only, as many as `count` says.
pub(crate) fn is_digits(text: &str, count: std::ops::RangeInclusive<usize>) -> bool {
    count.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_ibans_are_good() {
        for iban in [
            "IT60X0542811101000000123456",
            "DE89370400440532013000",
            "FR1420041010050500013M02606",
            "SM86U0322509800000000270100",
        ] {
            assert_eq!(iban_fault(iban), None, "{iban}");
        }
        assert!(is_sepa("SM86U0322509800000000270100") && !is_sepa("US64SVBKUS6S3300958879"));
    }

    #[test]
    fn faults_are_told_apart() {
        assert!(iban_fault("IT60 X054").unwrap().contains("blanks"));
        assert!(iban_fault("IT60X054281110100000012345").unwrap().contains("27"));
        assert!(iban_fault("IT61X0542811101000000123456").unwrap().contains("check digits"));
        assert!(iban_fault("IT6030542811101000000123456").unwrap().contains("control letter"));
        assert!(iban_fault("6").unwrap().contains("begin"));
    }

    #[test]
    fn codes_have_their_forms() {
        assert!(is_cig("1234567ABC") && is_cig("Z123456789") && is_cig("A0B1C2D3E4"));
        assert!(!is_cig("1234567abc") && !is_cig("123456") && !is_cig("ZG23456789") && !is_cig(""));
        assert!(is_bic("UNCRITMM") && is_bic("DEUTDEFF500") && !is_bic("UNCRITMMX") && !is_bic("uncritmm"));
        assert!(is_siope("2112") && is_siope("1030105001") && !is_siope("21120") && !is_siope("21A2"));
        assert!(is_cpv("33600000-6") && !is_cpv("336000006"));
        assert!(is_cup("B84E21003020001") && !is_cup("b84e21003020001"));
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_always_found(at in 5usize..27, to in 0u8..10) {
            let good = "IT60X0542811101000000123456";
            let mut bad = good.as_bytes().to_vec();
            bad[at] = b'0' + to;
            let bad = String::from_utf8(bad).unwrap();
            prop_assert_eq!(iban_fault(&bad).is_none(), bad == good);
        }

        #[test]
        fn any_text_gives_an_answer(text in ".{0,40}") {
            let _ = (iban_fault(&text), is_bic(&text), is_cig(&text), is_cup(&text), is_cpv(&text), is_siope(&text));
        }
    }
}
