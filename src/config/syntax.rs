//! What is not YAML: where, in the parser's words, and what its writer most likely meant.

use super::problems::{Findings, Place, Problems};

/// The problem that stands for the whole file, since nothing else can be said of it.
pub(super) fn problem(file: &str, text: &str, place: Place, message: &str) -> Problems {
    if let Some(index) = text.lines().position(|line| line.starts_with("<<<<<<< ")) {
        let hint = "keep one side of each, and remove the lines of `<`, `=` and `>`";
        let place = Place { line: index + 1, column: 1 };
        return Findings::only(file, place, "holds the marks of a merge conflict", Some(hint.to_owned()));
    }
    let (place, message) = begin(text, place, message);
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let before: String = line.chars().take(place.column.saturating_sub(1)).collect();
    let hint = hint(line, &before, message).map(str::to_owned);
    Findings::only(file, place, format!("not valid YAML: {message}"), hint)
}

/// Blanks that look like spaces and are none, at the start of a line: YAML takes them for letters.
pub(super) fn odd_indentation(text: &str) -> Option<Place> {
    text.lines().enumerate().find_map(|(index, line)| {
        let odd = |c: char| c == '\u{FEFF}' || (c.is_whitespace() && !c.is_ascii());
        let column = line.chars().take_while(|c| c.is_whitespace() || odd(*c)).position(odd)?;
        Some(Place { line: index + 1, column: column + 1 })
    })
}

/// What is not closed is noticed at the end of the file, or on the next line; it is mended where it begins, which the
/// parser names last.
fn begin<'m>(text: &str, place: Place, message: &'m str) -> (Place, &'m str) {
    let Some((words, context)) = message.rsplit_once(" at line ") else { return (place, message) };
    let Some((line, column)) = context.split_once(" column ") else { return (place, message) };
    let (Ok(line), Ok(column)) = (line.parse(), column.parse()) else { return (place, message) };
    let at_the_end = text.lines().skip(place.line.saturating_sub(1)).all(|line| line.trim().is_empty());
    let opened = words.ends_with("a quoted scalar")
        || words.ends_with("a simple key")
        || (at_the_end && (words.ends_with("a flow sequence") || words.ends_with("a flow mapping")));
    let context = self::place(text, line, column);
    if opened && context.line < place.line { (context, words) } else { (place, message) }
}

/// A place of the YAML parser proper as an editor counts. By YAML 1.1 lines also end at U+0085, U+2028 and U+2029, which
/// come with text that is copied from a web page and which no editor takes for an end.
pub(super) fn place(text: &str, line: usize, column: usize) -> Place {
    let odd = |c: char| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    if line == 0 || !text.contains(odd) {
        return Place { line, column };
    }
    let (mut parsed, mut shown) = (Place { line: 1, column: 1 }, Place { line: 1, column: 1 });
    let mut chars = text.chars().peekable();
    while (parsed.line, parsed.column) < (line, column)
        && let Some(c) = chars.next()
    {
        let ends = c == '\n' || (c == '\r' && chars.peek() != Some(&'\n'));
        for (place, ends) in [(&mut parsed, ends || odd(c)), (&mut shown, ends)] {
            *place = if ends {
                Place { line: place.line + 1, column: 1 }
            } else {
                Place { line: place.line, column: place.column + 1 }
            };
        }
    }
    shown
}

/// `before` is what stands before the place on its line.
fn hint(line: &str, before: &str, message: &str) -> Option<&'static str> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let says = |words: &str| message.contains(words);
    Some(if indent.contains('\t') {
        "indent with spaces; YAML does not allow tabs there"
    } else if says("escape") || says("hexdecimal") {
        "in double quotes a backslash begins an escape: put the text into single quotes"
    } else if says("a quoted scalar") {
        "a quotation mark is not closed"
    } else if says("mapping values are not allowed") {
        "put a text that holds `: ` into quotes, and check the indentation"
    } else if says("could not find expected ':'") {
        "a key ends in a colon and a space: `key: value`"
    } else if says("expected '-' indicator") {
        "check the indentation: the keys of one item stand exactly under each other"
    } else if says("did not find expected key") && before.trim_end().ends_with(['"', '\'']) {
        "a text that goes on after its closing quotation mark needs other ones around all of it"
    } else if says("did not find expected key") {
        "check the indentation: the keys of one section stand exactly under each other"
    } else if says("cannot start any token") {
        "put a text that begins with `@`, `%` or a backtick into quotes"
    } else if says("unknown anchor") || says("scanning an alias") {
        "`*` begins an alias in YAML: put the text into quotes"
    } else if says("scanning an anchor") {
        "`&` begins an anchor in YAML: put the text into quotes"
    } else if says("expected ',' or ']'") {
        "a comma is missing, or a `[` is not closed"
    } else if says("expected ',' or '}'") {
        "a comma is missing, or a `{` is not closed"
    } else {
        return None;
    })
}
