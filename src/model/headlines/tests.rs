use super::*;
use uuid::Uuid;

fn story(seq: Seq) -> Story {
    Story {
        id: StoryId(Uuid::from_u128(u128::try_from(seq).unwrap())),
        slug: format!("story-{seq}"),
        headline: format!("Story {seq}"),
        summary: String::new(),
        html: String::new(),
        topic: "General".into(),
        urgency: Urgency::Normal,
        byline: "Ada".into(),
        at: seq,
        seq,
    }
}

fn cursor(epoch: &str, seq: Seq) -> Cursor {
    Cursor {
        epoch: Epoch(epoch.into()),
        seq,
    }
}

fn page(epoch: &str, newest_first: &[Seq], head: Seq, older: Option<Seq>) -> NewsPage {
    NewsPage {
        stories: newest_first.iter().copied().map(story).collect(),
        epoch: Epoch(epoch.into()),
        head,
        older,
        topic: None,
    }
}

fn seqs(stories: &[Story]) -> Vec<Seq> {
    stories.iter().map(|story| story.seq).collect()
}

fn waiting(count: usize) -> Waiting {
    Waiting {
        count,
        or_more: false,
    }
}

#[test]
fn what_comes_live_waits_until_it_is_asked_for() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
    assert!(list.hear(&story(4)) && list.hear(&story(5)));
    assert_eq!(seqs(list.shown()), [3, 2], "nothing that is read moves");
    assert_eq!(list.waiting(), waiting(2));
    assert_eq!(list.reveal(), 2);
    assert_eq!(seqs(list.shown()), [5, 4, 3, 2]);
    assert_eq!((list.waiting(), list.older()), (waiting(0), Some(2)));
}

#[test]
fn a_story_counts_once_however_often_it_comes() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    assert!(!list.hear(&story(3)) && list.hear(&story(4)) && !list.hear(&story(4)));
    list.reveal();
    assert!(!list.hear(&story(4)), "also when it is shown by now");
    assert_eq!(list.waiting(), waiting(0));
}

#[test]
fn an_older_story_may_come_after_a_newer_one() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    assert!(list.hear(&story(5)) && list.hear(&story(4)));
    list.reveal();
    assert_eq!(seqs(list.shown()), [5, 4, 3]);
}

#[test]
fn stories_of_other_topics_do_not_count() {
    let mut asked = page("a", &[3], 3, None);
    asked.topic = Some("Sports".into());
    let mut list = Headlines::new(asked);
    assert!(!list.hear(&story(4)));
    let sports = Story {
        topic: "Sports".into(),
        ..story(5)
    };
    assert!(list.hear(&sports));
}

#[test]
fn too_many_waiting_are_counted_whole_and_shown_without_a_hole() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    let most = Seq::try_from(MOST_WAITING).unwrap();
    let newest = 3 + most + 5;
    for seq in 4..=newest {
        assert!(list.hear(&story(seq)));
    }
    assert_eq!(list.waiting(), waiting(MOST_WAITING + 5));
    assert!(!list.hear(&story(4)), "a replay of one that was dropped");
    list.reveal();
    assert_eq!(list.shown().first().map(|story| story.seq), Some(newest));
    assert_eq!(list.shown().len(), MOST_WAITING);
    assert_eq!(
        list.older(),
        Some(newest - most + 1),
        "the others are behind the link"
    );
}

#[test]
fn a_page_that_stays_open_does_not_grow_for_ever() {
    let mut list = Headlines::new(page("a", &[1], 1, None));
    let most = Seq::try_from(MOST_SHOWN).unwrap();
    for seq in 2..=most + 10 {
        list.hear(&story(seq));
        list.reveal();
    }
    assert_eq!(list.shown().len(), MOST_SHOWN);
    assert_eq!(list.older(), Some(11), "the ten oldest are behind the link");
}

#[test]
fn after_a_resync_what_was_missed_waits_on_top() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, None));
    list.hear(&story(4));
    list.refresh(page("a", &[6, 5, 4, 3, 2], 6, None));
    assert_eq!(seqs(list.shown()), [3, 2]);
    assert_eq!(list.waiting(), waiting(3));
    list.reveal();
    assert_eq!(seqs(list.shown()), [6, 5, 4, 3, 2]);
}

#[test]
fn after_a_long_absence_the_fresh_page_comes_instead_of_a_list_with_a_hole() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
    list.refresh(page("a", &[90, 89, 88], 90, Some(88)));
    assert_eq!(
        list.waiting(),
        Waiting {
            count: 3,
            or_more: true
        }
    );
    assert_eq!(list.cursor(), cursor("a", 90));
    list.reveal();
    assert_eq!(
        (seqs(list.shown()), list.older()),
        (vec![90, 89, 88], Some(88))
    );
}

#[test]
fn another_epoch_replaces_the_list_when_the_reader_asks_for_it() {
    let mut list = Headlines::new(page("a", &[30, 20], 30, Some(20)));
    list.refresh(page("b", &[2, 1], 2, None));
    assert_eq!(seqs(list.shown()), [30, 20]);
    assert_eq!(list.waiting().count, 2);
    assert!(
        list.hear(&story(3)),
        "and the stream goes on in the new one"
    );
    list.reveal();
    assert_eq!((seqs(list.shown()), list.older()), (vec![3, 2, 1], None));
}

#[test]
fn the_same_stories_under_another_epoch_are_no_news() {
    let mut list = Headlines::new(page("a", &[2, 1], 2, None));
    list.refresh(page("b", &[2, 1], 2, None));
    assert_eq!(list.waiting(), waiting(0));
    assert_eq!(list.cursor(), cursor("b", 2));
}

#[test]
fn the_stream_goes_on_after_the_last_story_heard() {
    let mut recent = Recent::new(cursor("a", 3));
    assert!(recent.hear(story(4)) && recent.hear(story(5)) && !recent.hear(story(5)));
    assert_eq!(*recent.cursor(), cursor("a", 5));
    assert_eq!(
        recent.stories().map(|story| story.seq).collect::<Vec<_>>(),
        [4, 5]
    );
}

#[test]
fn a_page_older_than_the_stream_takes_the_stream_back() {
    let mut recent = Recent::new(cursor("a", 6));
    recent.hear(story(7));
    assert!(!recent.rewind(&cursor("a", 6)) && !recent.rewind(&cursor("a", 9)));
    assert!(recent.rewind(&cursor("a", 5)), "6 would be missing");
    assert_eq!(*recent.cursor(), cursor("a", 5));
    assert!(recent.hear(story(6)));
    assert!(recent.rewind(&cursor("b", 6)), "another log");
}

#[test]
fn what_was_forgotten_has_to_be_asked_for_again() {
    let mut recent = Recent::new(cursor("a", 0));
    let most = Seq::try_from(MOST_WAITING).unwrap();
    for seq in 1..=most + 2 {
        recent.hear(story(seq));
    }
    assert!(!recent.rewind(&cursor("a", 2)) && recent.rewind(&cursor("a", 1)));
}

#[test]
fn only_fresh_breaking_stories_are_announced() {
    let breaking = Story {
        urgency: Urgency::Breaking,
        ..story(5)
    };
    assert_eq!(Breaking::of(&breaking, 5).map(|said| said.seq), Some(5));
    assert_eq!(Breaking::of(&breaking, 6 + BREAKING_FOR), None);
    assert_eq!(Breaking::of(&story(5), 5), None);
}
