//! The board as its template is given it.

use super::*;

#[test]
fn only_what_a_telephone_can_dial_is_a_link() {
    for number in ["+903121234567", "1014", "112"] {
        assert_eq!(dialled(number).as_deref(), Some(number));
    }
    for other in ["", "+", "1", "anonymous", "+90 312", "1;ext=2", "123456789012345678901"] {
        assert_eq!(dialled(other), None, "{other}");
    }
}

#[test]
fn a_title_begins_with_the_capital_of_its_language() {
    assert_eq!(capital("iletiler gecikiyor", Locale::Tr), "İletiler gecikiyor");
    assert_eq!(capital("kanal", Locale::Tr), "Kanal");
    assert_eq!(capital("it cannot", Locale::En), "It cannot");
    assert_eq!(capital("", Locale::En), "");
}
