//! Markdown tables, also readable as plain text.

/// A table; every row has as many cells as the head.
pub fn markdown_table(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .chain([&head.to_vec()])
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| {
            let dashes = "-".repeat(width.saturating_sub(usize::from(column > 0)));
            if column == 0 {
                dashes
            } else {
                format!("{dashes}:")
            }
        })
        .collect();
    let mut text = line(head) + &line(&rule);
    for row in rows {
        text += &line(row);
    }
    text
}

/// About three significant digits, with thousands separators.
pub fn format_number(value: f64) -> String {
    if value.is_infinite() {
        return "never".to_owned();
    }
    if value.is_nan() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && size < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    if size < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{size:.0}");
    let mut text = if value < 0.0 {
        "-".to_owned()
    } else {
        String::new()
    };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [
            0.0,
            0.123,
            12.34,
            640.0,
            5_120.4,
            1_234_567.0,
            f64::INFINITY,
        ]
        .map(format_number);
        assert_eq!(
            shown,
            ["0", "0.12", "12.3", "640", "5,120", "1,234,567", "never"]
        );
    }

    #[test]
    fn columns_line_up() {
        let head = ["what".to_owned(), "a".to_owned()];
        let rows = [vec!["memory".to_owned(), "1,000".to_owned()]];
        let expected = "| what   |     a |\n| ------ | ----: |\n| memory | 1,000 |\n";
        assert_eq!(markdown_table(&head, &rows), expected);
    }
}
