//! sled panics on some damaged files: that is an answer, not a crash, and is not printed as one.

use std::cell::{Cell, RefCell};
use std::panic::{UnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; when it panics, nothing is printed and the place in the source is returned. The panic's own words are
/// not: they may quote a row, and with it somebody's number.
pub(super) fn caught<T>(work: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if CATCHING.get() {
                let place =
                    panic.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
                PLACE.set(place.rsplit_once("/sled-").map_or(place.clone(), |(_, place)| format!("sled-{place}")));
            } else {
                others(panic);
            }
        }));
    });
    CATCHING.set(true);
    let result = catch_unwind(work);
    CATCHING.set(false);
    result.map_err(|_| PLACE.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_with_its_place_and_without_its_words() {
        let place = caught(|| panic!("0532 111 22 33")).map(|(): ()| ()).unwrap_err();
        assert!(place.contains("panics.rs:") && !place.contains("0532"), "{place}");
        assert_eq!(caught(|| 7), Ok(7));
    }
}
