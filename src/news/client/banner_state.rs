//! The breaking-news banner, before dismissal.

use crate::model::headlines::BreakingStory;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BannerState {
    AsRendered,
    Updated(Option<BreakingStory>),
}

impl BannerState {
    pub(super) fn updated(&self) -> Option<&BreakingStory> {
        match self {
            Self::AsRendered => None,
            Self::Updated(breaking) => breaking.as_ref(),
        }
    }

    /// A replay may deliver an older story later.
    pub(super) fn is_older_than(&self, breaking: &BreakingStory) -> bool {
        self.updated()
            .is_none_or(|shown| breaking.is_newer_than(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Millis, Seq, StoryId};
    use uuid::Uuid;

    fn breaking(seq: Seq, at: Millis) -> BreakingStory {
        BreakingStory {
            id: StoryId(Uuid::nil()),
            seq,
            slug: String::new(),
            headline: String::new(),
            at,
        }
    }

    #[test]
    fn a_later_story_takes_the_banner_whatever_the_clocks_of_the_servers_say() {
        let shown = BannerState::Updated(Some(breaking(5, 1_000)));
        assert!(shown.is_older_than(&breaking(6, 900)));
        assert!(!shown.is_older_than(&breaking(5, 1_000)));
        assert!(!shown.is_older_than(&breaking(4, 1_100)));
        assert!(BannerState::Updated(None).is_older_than(&breaking(1, 0)));
    }
}
