//! Answers as people read them on a terminal: aligned columns, or one fact a line.

use serde_json::Value;

/// A heading, and where its cell is in a row (JSON Pointer).
pub(super) type Column = (&'static str, &'static str);

/// A cell beyond this is cut, so that a prompt does not push everything else away.
const CELL_WIDEST: usize = 60;

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    };
    // What somebody typed into a prompt must not move the cursor.
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= CELL_WIDEST {
        return plain;
    }
    plain.chars().take(CELL_WIDEST - 1).chain(['…']).collect()
}

/// As [`table`], every column, without headings.
pub(super) fn rows(columns: &[Column], rows: &[Value]) -> String {
    aligned(columns.iter(), Vec::new(), rows)
}

/// Columns as wide as their widest cell; those that are empty in every row are left out.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> String {
    let filled = |column: &&Column| rows.iter().any(|row| at(row, column.1) != "-");
    let columns: Vec<&Column> = columns.iter().filter(filled).collect();
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    aligned(columns.into_iter(), vec![headings], rows)
}

fn at(row: &Value, pointer: &str) -> String {
    cell(row.pointer(pointer).unwrap_or(&Value::Null))
}

fn aligned<'a>(columns: impl Iterator<Item = &'a Column>, mut lines: Vec<Vec<String>>, rows: &[Value]) -> String {
    let pointers: Vec<&str> = columns.map(|(_, pointer)| *pointer).collect();
    lines.extend(rows.iter().map(|row| pointers.iter().map(|pointer| at(row, pointer)).collect()));
    let widths: Vec<usize> = (0..pointers.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let written = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    written.collect::<Vec<_>>().join("\n")
}

/// Every member with its path, those within members too; lists are counted.
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
        Value::Array(list) => found.push((path.to_owned(), list.iter().map(cell).collect::<Vec<_>>().join(", "))),
        other => found.push((path.to_owned(), cell(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let rows = [json!({"id": "a", "n": 1, "x": null}), json!({"id": "long", "n": 22, "x": null})];
        let drawn = table(&[("ID", "/id"), ("N", "/n"), ("X", "/x")], &rows);
        assert_eq!(drawn, "ID    N\na     1\nlong  22");
        assert_eq!(super::rows(&[("ID", "/id"), ("X", "/x"), ("N", "/n")], &rows), "a     -  1\nlong  -  22");
        assert_eq!(table(&[("ID", "/id")], &[json!({"id": "a\u{1b}[2J\nb"})]), "ID\na [2J b");
        assert_eq!(table(&[("P", "/p")], &[json!({"p": "x".repeat(100)})]).lines().last().unwrap().chars().count(), 60);
    }

    #[test]
    fn facts_name_what_is_within() {
        assert_eq!(
            facts(&json!({"id": "a", "limits": {"share": 4}, "on": true, "list": [1, 2]})),
            "id            a\nlimits.share  4\non            yes\nlist          1, 2"
        );
    }
}
