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

fn page(epoch: &str, newest_first: &[Seq], head: Seq, older: Option<Seq>) -> StoryListing {
    StoryListing {
        stories: newest_first.iter().copied().map(story).collect(),
        epoch: Epoch(epoch.into()),
        head,
        next_before: older,
        topic: None,
    }
}

fn seqs(stories: &[Story]) -> Vec<Seq> {
    stories.iter().map(|story| story.seq).collect()
}

fn pending(count: usize) -> PendingCount {
    PendingCount {
        count,
        is_lower_bound: false,
    }
}

#[test]
fn a_live_story_is_pending_until_it_is_revealed() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
    assert!(list.receive(&story(4)) && list.receive(&story(5)));
    assert_eq!(seqs(list.shown()), [3, 2], "shown stories do not move");
    assert_eq!(list.pending_count(), pending(2));
    assert_eq!(list.reveal(), 2);
    assert_eq!(seqs(list.shown()), [5, 4, 3, 2]);
    assert_eq!(
        (list.pending_count(), list.next_before()),
        (pending(0), Some(2))
    );
}

#[test]
fn a_story_counts_once_however_often_it_comes() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    assert!(!list.receive(&story(3)) && list.receive(&story(4)) && !list.receive(&story(4)));
    list.reveal();
    assert!(!list.receive(&story(4)), "also once it is shown");
    assert_eq!(list.pending_count(), pending(0));
}

#[test]
fn an_older_story_may_come_after_a_newer_one() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    assert!(list.receive(&story(5)) && list.receive(&story(4)));
    list.reveal();
    assert_eq!(seqs(list.shown()), [5, 4, 3]);
}

#[test]
fn stories_of_other_topics_do_not_count() {
    let mut asked = page("a", &[3], 3, None);
    asked.topic = Some("Sports".into());
    let mut list = Headlines::new(asked);
    assert!(!list.receive(&story(4)));
    let sports = Story {
        topic: "Sports".into(),
        ..story(5)
    };
    assert!(list.receive(&sports));
}

#[test]
fn too_many_waiting_are_counted_whole_and_shown_without_a_hole() {
    let mut list = Headlines::new(page("a", &[3], 3, None));
    let most = Seq::try_from(MAX_PENDING_STORIES).unwrap();
    let newest = 3 + most + 5;
    for seq in 4..=newest {
        assert!(list.receive(&story(seq)));
    }
    assert_eq!(list.pending_count(), pending(MAX_PENDING_STORIES + 5));
    assert!(!list.receive(&story(4)), "a replay of a dropped story");
    list.reveal();
    assert_eq!(list.shown().first().map(|story| story.seq), Some(newest));
    assert_eq!(list.shown().len(), MAX_PENDING_STORIES);
    assert_eq!(
        list.next_before(),
        Some(newest - most + 1),
        "the others are on an older page"
    );
}

#[test]
fn a_page_that_stays_open_does_not_grow_for_ever() {
    let mut list = Headlines::new(page("a", &[1], 1, None));
    let most = Seq::try_from(MAX_SHOWN_STORIES).unwrap();
    for seq in 2..=most + 10 {
        list.receive(&story(seq));
        list.reveal();
    }
    assert_eq!(list.shown().len(), MAX_SHOWN_STORIES);
    assert_eq!(
        list.next_before(),
        Some(11),
        "the ten oldest are on an older page"
    );
}

#[test]
fn after_a_resync_what_was_missed_waits_on_top() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, None));
    list.receive(&story(4));
    list.refresh(page("a", &[6, 5, 4, 3, 2], 6, None));
    assert_eq!(seqs(list.shown()), [3, 2]);
    assert_eq!(list.pending_count(), pending(3));
    list.reveal();
    assert_eq!(seqs(list.shown()), [6, 5, 4, 3, 2]);
}

#[test]
fn after_a_long_absence_the_fresh_page_comes_instead_of_a_list_with_a_hole() {
    let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
    list.refresh(page("a", &[90, 89, 88], 90, Some(88)));
    assert_eq!(
        list.pending_count(),
        PendingCount {
            count: 3,
            is_lower_bound: true
        }
    );
    assert_eq!(list.cursor(), cursor("a", 90));
    list.reveal();
    assert_eq!(
        (seqs(list.shown()), list.next_before()),
        (vec![90, 89, 88], Some(88))
    );
}

#[test]
fn another_epoch_replaces_the_list_when_the_reader_asks_for_it() {
    let mut list = Headlines::new(page("a", &[30, 20], 30, Some(20)));
    list.refresh(page("b", &[2, 1], 2, None));
    assert_eq!(seqs(list.shown()), [30, 20]);
    assert_eq!(list.pending_count().count, 2);
    assert!(
        list.receive(&story(3)),
        "the stream continues in the new epoch"
    );
    list.reveal();
    assert_eq!(
        (seqs(list.shown()), list.next_before()),
        (vec![3, 2, 1], None)
    );
}

#[test]
fn the_same_stories_under_another_epoch_are_not_pending() {
    let mut list = Headlines::new(page("a", &[2, 1], 2, None));
    list.refresh(page("b", &[2, 1], 2, None));
    assert_eq!(list.pending_count(), pending(0));
    assert_eq!(list.cursor(), cursor("b", 2));
}

#[test]
fn the_stream_resumes_after_the_last_story_received() {
    let mut recent = RecentStories::new(cursor("a", 3));
    let outcomes = [4, 5, 5].map(|seq| recent.receive(story(seq)));
    let expected = [
        ReceiveOutcome::Added,
        ReceiveOutcome::Added,
        ReceiveOutcome::Duplicate,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(*recent.cursor(), cursor("a", 5));
    assert_eq!(
        recent.stories().map(|story| story.seq).collect::<Vec<_>>(),
        [4, 5]
    );
}

#[test]
fn a_story_after_a_gap_waits_until_the_stream_has_resumed_before_it() {
    let mut recent = RecentStories::new(cursor("a", 3));
    assert_eq!(recent.receive(story(5)), ReceiveOutcome::Gap);
    assert_eq!(*recent.cursor(), cursor("a", 3), "4 would be lost");
    assert_eq!(recent.stories().count(), 0);
    let replayed = [4, 5].map(|seq| recent.receive(story(seq)));
    assert_eq!(replayed, [ReceiveOutcome::Added; 2]);
    assert_eq!(*recent.cursor(), cursor("a", 5));
}

#[test]
fn a_page_older_than_the_stream_takes_the_stream_back() {
    let mut recent = RecentStories::new(cursor("a", 6));
    recent.receive(story(7));
    assert!(!recent.rewind(&cursor("a", 6)) && !recent.rewind(&cursor("a", 9)));
    assert!(recent.rewind(&cursor("a", 5)), "6 would be missing");
    assert_eq!(*recent.cursor(), cursor("a", 5));
    assert_eq!(recent.receive(story(6)), ReceiveOutcome::Added);
    assert!(recent.rewind(&cursor("b", 6)), "another epoch");
}

#[test]
fn stories_dropped_from_the_buffer_require_a_rewind() {
    let mut recent = RecentStories::new(cursor("a", 0));
    let most = Seq::try_from(MAX_PENDING_STORIES).unwrap();
    for seq in 1..=most + 2 {
        recent.receive(story(seq));
    }
    assert!(!recent.rewind(&cursor("a", 2)) && recent.rewind(&cursor("a", 1)));
}

fn breaking_story(seq: Seq, at: Millis) -> BreakingStory {
    let story = Story {
        urgency: Urgency::Breaking,
        at,
        ..story(seq)
    };
    BreakingStory::from_story(&story, at).unwrap()
}

#[test]
fn of_two_breaking_stories_the_later_in_the_stream_is_newer_whatever_their_clocks_say() {
    let (first, second) = (breaking_story(5, 1_000), breaking_story(6, 900));
    assert!(second.is_newer_than(&first) && !first.is_newer_than(&second));
    assert!(!first.is_newer_than(&first));
}

#[test]
fn only_fresh_breaking_stories_are_announced() {
    let breaking = Story {
        urgency: Urgency::Breaking,
        ..story(5)
    };
    assert_eq!(
        BreakingStory::from_story(&breaking, 5).map(|said| said.seq),
        Some(5)
    );
    assert_eq!(BreakingStory::from_story(&breaking, 6 + BREAKING_TTL), None);
    assert_eq!(BreakingStory::from_story(&story(5), 5), None);
}
