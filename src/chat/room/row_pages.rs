//! The rows of a live timeline, in one keyed list for each page that was loaded.
//!
//! A keyed list of Leptos removes and inserts every node behind what is put first (`docs/leptos.md`): in a single list, an older page
//! would cost as much as all pages below it.

use super::rows::Row;
use crate::model::Seq;
use leptos::prelude::*;

/// Splits rows into pages, the newest first. `page_starts` are the first sequences of all pages but the oldest, the newest first.
pub(super) fn split_rows(rows: &[Row], page_starts: &[Seq]) -> Vec<Vec<Row>> {
    let mut pages = vec![Vec::new(); page_starts.len() + 1];
    let mut at = 0;
    // A heading is on the page of the message after it.
    for row in rows.iter().rev() {
        if let Row::Message { seq, .. } = row {
            while page_starts.get(at).is_some_and(|start| seq < start) {
                at += 1;
            }
        }
        pages[at].push(*row);
    }
    for page in &mut pages {
        page.reverse();
    }
    pages
}

/// A page, below all older ones.
#[component]
pub(super) fn RowPage(
    pages: Memo<Vec<Vec<Row>>>,
    /// Its place in `pages`.
    #[prop(optional)]
    at: usize,
    show_row: Callback<Row, AnyView>,
) -> AnyView {
    let rows = Memo::new(move |_| pages.with(|pages| pages.get(at).cloned().unwrap_or_default()));
    let has_older = Memo::new(move |_| pages.with(|pages| pages.len() > at + 1));
    view! {
        {move || has_older.get().then(|| view! { <RowPage pages at=at + 1 show_row /> })}
        <For each=move || rows.get() key=Row::key let:row>
            {show_row.run(row)}
        </For>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;
    use uuid::Uuid;

    fn message(seq: Seq) -> Row {
        Row::Message {
            id: MessageId(Uuid::nil()),
            seq,
            is_continuation: false,
        }
    }

    #[test]
    fn headings_are_on_the_page_of_the_message_below_them() {
        let day = Row::Day { number: 1, at: 0 };
        let rows = [
            day,
            message(2),
            message(4),
            Row::UnreadMarker,
            message(5),
            message(9),
        ];
        assert_eq!(split_rows(&rows, &[]), [rows.to_vec()]);
        assert_eq!(
            split_rows(&rows, &[5, 3]),
            [rows[3..].to_vec(), vec![message(4)], rows[..2].to_vec()]
        );
        // No message of the page in the middle is shown.
        assert_eq!(
            split_rows(&rows, &[9, 8, 5]),
            [
                vec![message(9)],
                vec![],
                rows[3..5].to_vec(),
                rows[..3].to_vec()
            ]
        );
        assert_eq!(split_rows(&[], &[5]), [vec![], vec![]]);
    }
}
