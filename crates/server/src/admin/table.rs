//! Answers as people read them on a terminal: aligned columns, or one fact a line.

use serde_json::Value;

/// A heading, and where its cell is in a row (JSON Pointer).
pub(super) type Column = (&'static str, &'static str);

/// A cell of a list beyond this is cut, so that a prompt does not push everything else away.
const CELL_WIDEST: usize = 60;

/// How much of a cell is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    Whole,
    Clipped,
}

impl Cells {
    fn of(self, row: &Value, pointer: &str) -> String {
        let text = plain(row.pointer(pointer).unwrap_or(&Value::Null));
        if self == Self::Whole || text.chars().count() <= CELL_WIDEST {
            return text;
        }
        text.chars().take(CELL_WIDEST - 1).chain(['…']).collect()
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    };
    // What somebody typed into a prompt must not move the cursor.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As [`list`], every column, without headings.
pub(super) fn rows(columns: &[Column], rows: &[Value]) -> String {
    aligned(columns.iter(), Vec::new(), rows, Cells::Clipped)
}

/// Columns as wide as their widest cell, long cells cut; those that are empty in every row are left out.
pub(super) fn list(columns: &[Column], rows: &[Value]) -> String {
    headed(columns, rows, Cells::Clipped)
}

/// As [`list`], and every cell whole: for rows that are read rather than looked through.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> String {
    headed(columns, rows, Cells::Whole)
}

fn headed(columns: &[Column], rows: &[Value], cells: Cells) -> String {
    let filled = |column: &&Column| rows.iter().any(|row| cells.of(row, column.1) != "-");
    let columns: Vec<&Column> = columns.iter().filter(filled).collect();
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    aligned(columns.into_iter(), vec![headings], rows, cells)
}

fn aligned<'a>(
    columns: impl Iterator<Item = &'a Column>,
    mut lines: Vec<Vec<String>>,
    rows: &[Value],
    cells: Cells,
) -> String {
    let pointers: Vec<&str> = columns.map(|(_, pointer)| *pointer).collect();
    lines.extend(rows.iter().map(|row| pointers.iter().map(|pointer| cells.of(row, pointer)).collect()));
    let widths: Vec<usize> = (0..pointers.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let written = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    written.collect::<Vec<_>>().join("\n")
}

/// Every member with its path, whole; those within members too.
pub(super) fn facts(value: &Value) -> String {
    let mut found = Vec::new();
    gather(value, "", &mut found);
    let width = found.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    found.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

fn gather(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                gather(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
            }
        }
        Value::Array(list) if list.iter().any(|one| one.is_object() || one.is_array()) => {
            for (index, value) in list.iter().enumerate() {
                gather(value, &format!("{path}.{index}"), found);
            }
        }
        Value::Array(list) => found.push((path.to_owned(), list.iter().map(plain).collect::<Vec<_>>().join(", "))),
        other => found.push((path.to_owned(), plain(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let rows = [json!({"id": "a", "n": 1, "x": null}), json!({"id": "long", "n": 22, "x": null})];
        let drawn = list(&[("ID", "/id"), ("N", "/n"), ("X", "/x")], &rows);
        assert_eq!(drawn, "ID    N\na     1\nlong  22");
        assert_eq!(super::rows(&[("ID", "/id"), ("X", "/x"), ("N", "/n")], &rows), "a     -  1\nlong  -  22");
        assert_eq!(list(&[("ID", "/id")], &[json!({"id": "a\u{1b}[2J\nb"})]), "ID\na [2J b");
    }

    #[test]
    fn only_lists_cut_what_is_long() {
        let (long, long_row) = ("x".repeat(100), [json!({"p": "x".repeat(100)})]);
        let last = |drawn: String| drawn.lines().last().unwrap().to_owned();
        assert_eq!(last(list(&[("P", "/p")], &long_row)), format!("{}…", "x".repeat(59)));
        assert_eq!(rows(&[("P", "/p")], &long_row).chars().count(), 60);
        assert_eq!(last(table(&[("P", "/p")], &long_row)), long);
        assert_eq!(facts(&long_row[0]), format!("p  {long}"));
        assert_eq!(facts(&json!({"list": [long, "a\u{1b}b"]})), format!("list  {long}, a b"));
    }

    #[test]
    fn facts_name_what_is_within() {
        assert_eq!(
            facts(&json!({"id": "a", "limits": {"share": 4}, "on": true, "list": [1, 2]})),
            "id            a\nlimits.share  4\non            yes\nlist          1, 2"
        );
    }
}
