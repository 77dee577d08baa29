//! Tables for people: columns as wide as what is in them, as a terminal shows it.

use unicode_normalization::char::is_combining_mark;

use crate::number::printable;

/// No cell is longer: a failure's text is 300 bytes at most.
const LONGEST: usize = 300;

/// Lines of aligned columns under a header. The last column is not padded. Cells are cleaned: names come from callers,
/// and could move the cursor of the terminal.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let clean = |cell: String| printable(&cell, LONGEST);
    let rows: Vec<[String; N]> =
        std::iter::once(header.map(str::to_owned)).chain(rows).map(|row| row.map(clean)).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(widest - width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// How many columns a terminal takes for a text.
fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// East Asian wide and full-width characters and emoji take two columns (Unicode annex 11, by blocks), marks and joiners
/// none.
fn char_width(c: char) -> usize {
    match c {
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}' => 0,
        c if is_combining_mark(c) => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_the_script() {
        let rows = [["Şükrü", "1", "son"], ["株式会社", "22", ""], ["e\u{301}\u{200d}", "333", "x"], ["😀", "", "y"]];
        let text = table(["NAME", "N", "LAST"], rows.map(|row| row.map(str::to_owned)));
        insta::assert_snapshot!(text, @"
        NAME      N    LAST
        Şükrü     1    son
        株式会社  22
        é‍         333  x
        😀             y
        ");
    }

    #[test]
    fn a_cell_can_neither_break_the_line_nor_move_the_cursor() {
        let text = table(["A"], [["x\u{1b}[2J\r\ny\u{202e}z".to_owned()]]);
        assert_eq!(text, "A\nx [2J yz");
    }
}
