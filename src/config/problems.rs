//! What can be wrong with a configuration: problems with their places, gathered so that all are told in one go.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use super::secrets::SECRETS;

/// No key of ours is as long by far, nor is a header's name in practice.
const LONGEST_KEY: usize = 40;

/// In bytes. What is shorter stands in many a word, and is no secret.
const SHORTEST_SECRET: usize = 8;

/// A position in the file, counted from 1; line 0 is the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
}

/// One thing that is wrong, where it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Counted from 1; 0 when the problem is the file as a whole.
    pub line: usize,
    /// In characters, counted from 1; 0 when the problem is the file as a whole.
    pub column: usize,
    /// Key path, such as `channels[1].smtp.host`; empty when the problem is not with one key.
    pub path: String,
    /// What was found and what is expected. Never holds the value of a secret.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Everything that is wrong with a configuration, in order of place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Gathers problems while the configuration is read.
pub(super) struct Findings<'a> {
    file: &'a str,
    /// Where each key path stands.
    places: BTreeMap<String, Place>,
    /// Paths whose value was given up: nothing at or below them is judged again.
    spoiled: Vec<String>,
    /// What was put in for variables, and the placeholder of each: shown in its place. Longest first, since one may hold
    /// another.
    variables: RefCell<BTreeMap<(Reverse<usize>, String), String>>,
    list: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, places: BTreeMap::new(), spoiled: Vec::new(), variables: RefCell::default(), list: Vec::new() }
    }

    /// One problem with the file as a whole or with its syntax, after which nothing else can be said.
    pub(super) fn only(file: &str, place: Place, message: impl Into<String>, hint: Option<String>) -> Problems {
        let mut findings = Findings::new(file);
        findings.add("", place, message, hint);
        Problems(findings.list)
    }

    /// What problems call the file.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Remembers where the value of `path` stands.
    pub(super) fn locate(&mut self, path: &str, place: Place) {
        self.places.insert(path.to_owned(), place);
    }

    /// Where `path` stands, or else the nearest section around it.
    pub(super) fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            match (self.places.get(path), path.rfind(['.', '['])) {
                (Some(place), _) => return *place,
                (None, Some(end)) => path = &path[..end],
                (None, None) => return self.places.get("").copied().unwrap_or(Place { line: 1, column: 1 }),
            }
        }
    }

    /// A problem at a place that is known.
    pub(super) fn add(&mut self, path: &str, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.list.push(Problem {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            path: shown(path),
            message: self.as_written(message.into()),
            hint: hint.map(|hint| self.as_written(hint)),
        });
    }

    /// Remembers what stands for a variable, so that no message shows it: who knows for which key it was meant.
    pub(super) fn note_variable(&self, name: &str, value: &str) {
        if value.len() >= SHORTEST_SECRET {
            let longest_first = (Reverse(value.len()), value.to_owned());
            self.variables.borrow_mut().insert(longest_first, format!("${{{name}}}"));
        }
    }

    fn as_written(&self, text: String) -> String {
        self.variables.borrow().iter().fold(text, |text, ((_, value), placeholder)| text.replace(value, placeholder))
    }

    /// A problem with the value of `path`, unless that was given up before.
    pub(super) fn at(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        if self.is_spoiled(path) {
            return;
        }
        // A secret that came from a file is named by the key that is written, also one of several in that file.
        let key = path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map_or(path, |(key, _)| key);
        let from_file = format!("{key}_file");
        let path =
            if !self.places.contains_key(path) && self.places.contains_key(&from_file) { &from_file } else { path };
        self.add(path, self.place(path), message, hint);
    }

    /// Gives up the value of `path`: it was reported, and nothing at or below it is judged again.
    pub(super) fn spoil(&mut self, path: &str) {
        self.spoiled.push(path.to_owned());
    }

    /// Whether `path` or a section around it was given up.
    pub(super) fn is_spoiled(&self, path: &str) -> bool {
        self.spoiled.iter().any(|spoiled| is_at_or_below(path, spoiled))
    }

    /// Whether something was given up within `section` that a check across the whole section would miss.
    pub(super) fn is_incomplete(&self, section: &str) -> bool {
        self.is_spoiled(section) || self.spoiled.iter().any(|spoiled| is_at_or_below(spoiled, section))
    }

    /// The end: all problems in order of place, or none.
    pub(super) fn into_result(mut self) -> Result<(), Problems> {
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        self.list.dedup();
        if self.list.is_empty() { Ok(()) } else { Err(Problems(self.list)) }
    }
}

fn is_at_or_below(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|rest| section.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A key path as it may be shown. A lost colon or quotation mark makes a key of what was to be a secret
/// (`api_key K12345…`), and so does a map where one was to be: it ends where that begins.
fn shown(path: &str) -> String {
    let signs = if path.contains("${") { "_-.[]<${}" } else { "_-.[]<" };
    let no_key = |c: char| !(c.is_alphanumeric() || signs.contains(c));
    let strange = path.find(no_key);
    let mut start = 0;
    let within = path.split('.').find_map(|part| {
        let end = start + part.len();
        let too_long = part.len() > LONGEST_KEY;
        let is_secret = SECRETS.iter().any(|(_, key)| *key == part) && end < path.len();
        let cut = if too_long { Some(start) } else { is_secret.then_some(end + 1) };
        start = end + 1;
        cut
    });
    match [strange, within].into_iter().flatten().min() {
        Some(end) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

/// The key path of `key` in the section `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = segment(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A key as problems show it: of one that holds more than a key can, the beginning. Where a colon is forgotten, what
/// follows is a value, and may be a secret.
pub(super) fn segment(key: &str) -> String {
    const MOST: usize = 40;
    let goes_on = |c: char| c.is_alphanumeric() || "_-.<>${}".contains(c);
    // No key holds so many; a secret in the place of one does.
    if key.chars().filter(char::is_ascii_digit).count() > 6 {
        return "…".to_owned();
    }
    let end = key.char_indices().position(|(_, c)| !goes_on(c)).unwrap_or(usize::MAX).min(MOST);
    let shown: String = key.chars().take(end).collect();
    if shown.len() < key.len() { shown + "…" } else { shown }
}

/// `did you mean …?` when one of `known` is close to `found`.
pub(super) fn did_you_mean<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let length = found.chars().count();
    // No key is as long; the comparison grows with both lengths.
    if length > 64 {
        return None;
    }
    let limit = (length / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|word| word.chars().count().abs_diff(length) <= limit)
        .map(|word| (distance(&found.to_ascii_lowercase(), &word.to_ascii_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| format!("did you mean `{word}`?"))
}

/// How many single characters must be changed, added, dropped or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                change.min(swap).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_of_one_letter_or_a_swap_is_close() {
        let known = ["timeout", "retry", "to", "cc"];
        assert_eq!(did_you_mean("timeuot", known).as_deref(), Some("did you mean `timeout`?"));
        assert_eq!(did_you_mean("rety", known).as_deref(), Some("did you mean `retry`?"));
        assert_eq!(did_you_mean("TIMEOUT", known).as_deref(), Some("did you mean `timeout`?"));
        assert_eq!(did_you_mean("subject", known), None);
    }

    #[test]
    fn of_a_value_that_begins_with_another_one_the_rest_is_not_shown_either() {
        let mut findings = Findings::new("config.yaml");
        for (name, value) in [("SHORT", "hunter2hunter2"), ("LONG", "hunter2hunter2-and-more"), ("TINY", "hunter")] {
            findings.note_variable(name, value);
        }
        let hint = Some("or hunter2hunter2".to_owned());
        findings.add("", Place::default(), "one of hunter2hunter2-and-more, hunter", hint);
        let Problem { message, hint, .. } = &findings.list[0];
        assert_eq!((message.as_str(), hint.as_deref()), ("one of ${LONG}, hunter", Some("or ${SHORT}")));
    }

    #[test]
    fn of_a_key_that_holds_more_than_a_key_the_beginning_is_shown() {
        for (key, shown) in [
            ("süre_2", "süre_2"),
            ("<<", "<<"),
            ("store.path", "store.path"),
            ("password hunter2", "password…"),
            ("api_key=K123", "api_key…"),
            ("\u{1b}[31m", "…"),
            ("K12345678-1234", "…"),
            ("", ""),
        ] {
            assert_eq!(segment(key), shown, "{key:?}");
        }
        assert_eq!(segment(&"k".repeat(100)), format!("{}…", "k".repeat(40)));
    }

    #[test]
    fn what_was_given_up_covers_everything_below_it_and_nothing_beside_it() {
        let mut findings = Findings::new("c.yaml");
        findings.spoil("channels[1].smtp");
        assert!(findings.is_spoiled("channels[1].smtp.host"));
        assert!(!findings.is_spoiled("channels[1].smtp_x"));
        assert!(!findings.is_spoiled("channels[1]"));
        assert!(findings.is_incomplete("channels"));
        assert!(!findings.is_incomplete("routes"));
    }
}
