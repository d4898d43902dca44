//! Who is next: a queue that serves networks by turns, however much one of them asks for, and those that have not failed
//! before those that have.

use std::collections::{HashMap, VecDeque};

use crate::auth::network::Network;

/// Jobs that wait, and how many run.
pub(super) struct FairQueue<J> {
    limits: QueueLimits,
    lines: HashMap<Network, Line<J>>,
    /// Networks with jobs that wait, each once in one of them; the first is served next.
    clean: VecDeque<Network>,
    failed: VecDeque<Network>,
    /// How many of the first were served one after the other while there were others.
    preferred: u32,
    waiting: usize,
}

/// How many networks that have not failed are served before one that has.
const PREFERRED: u32 = 4;

/// What is known of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No login from there has failed of late.
    Clean,
    /// A login from there has.
    Failed,
}

/// How much at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    /// How many jobs wait.
    pub(super) waiting: usize,
    /// How many of one network.
    pub(super) waiting_of_one: usize,
    /// How many jobs of one network run.
    pub(super) running_of_one: usize,
}

/// What waits.
pub(super) trait Job {
    /// Whether a caller still waits for its result.
    fn is_wanted(&self) -> bool;
}

/// No more can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

struct Line<J> {
    waiting: VecDeque<J>,
    running: usize,
}

impl<J: Job> FairQueue<J> {
    pub(super) fn new(limits: QueueLimits) -> Self {
        let (clean, failed) = (VecDeque::new(), VecDeque::new());
        Self { limits, lines: HashMap::new(), clean, failed, preferred: 0, waiting: 0 }
    }

    /// Lets a job wait. A network has the standing with which its line began. When no more can, the newest job of the longest line goes, if that is longer than its own becomes.
    ///
    /// # Errors
    /// When it cannot wait.
    pub(super) fn push(&mut self, network: Network, standing: Standing, job: J) -> Result<(), Full> {
        let QueueLimits { waiting, waiting_of_one, .. } = self.limits;
        if self.length(network) >= waiting_of_one {
            self.forget_unwanted(network);
        }
        if self.length(network) >= waiting_of_one {
            return Err(Full);
        }
        if self.waiting >= waiting {
            // Of lines that are as long as each other, one of a network that has failed comes last.
            let longest = self.clean.iter().chain(&self.failed).copied();
            let longest = longest.max_by_key(|network| self.length(*network)).ok_or(Full)?;
            let before = self.waiting;
            self.forget_unwanted(longest);
            if self.waiting == before {
                if self.length(longest) <= self.length(network) + 1 {
                    return Err(Full);
                }
                self.lines.get_mut(&longest).and_then(|line| line.waiting.pop_back());
                self.waiting -= 1;
            }
        }
        let line = self.lines.entry(network).or_insert_with(|| Line { waiting: VecDeque::new(), running: 0 });
        if line.waiting.is_empty() {
            match standing {
                Standing::Clean => self.clean.push_back(network),
                Standing::Failed => self.failed.push_back(network),
            }
        }
        line.waiting.push_back(job);
        self.waiting += 1;
        Ok(())
    }

    /// The job that is to run now. [`Self::done`] has to be told when it has.
    pub(super) fn next(&mut self) -> Option<(Network, J)> {
        let order = match self.preferred < PREFERRED {
            true => [Standing::Clean, Standing::Failed],
            false => [Standing::Failed, Standing::Clean],
        };
        order.into_iter().find_map(|standing| self.next_of(standing))
    }

    fn next_of(&mut self, standing: Standing) -> Option<(Network, J)> {
        let others_wait = !self.failed.is_empty();
        let turns = match standing {
            Standing::Clean => &mut self.clean,
            Standing::Failed => &mut self.failed,
        };
        for _ in 0..turns.len() {
            let network = turns.pop_front()?;
            let Some(line) = self.lines.get_mut(&network) else { continue };
            if line.running >= self.limits.running_of_one {
                turns.push_back(network);
                continue;
            }
            let Some(job) = line.waiting.pop_front() else { continue };
            self.waiting -= 1;
            line.running += 1;
            if !line.waiting.is_empty() {
                turns.push_back(network);
            }
            self.preferred = if standing == Standing::Clean && others_wait { self.preferred + 1 } else { 0 };
            return Some((network, job));
        }
        None
    }

    /// A job has run.
    pub(super) fn done(&mut self, network: Network) {
        if let Some(line) = self.lines.get_mut(&network) {
            line.running = line.running.saturating_sub(1);
        }
        self.forget_line(network);
    }

    fn length(&self, network: Network) -> usize {
        self.lines.get(&network).map_or(0, |line| line.waiting.len())
    }

    fn forget_unwanted(&mut self, network: Network) {
        let Some(line) = self.lines.get_mut(&network) else { return };
        let before = line.waiting.len();
        line.waiting.retain(Job::is_wanted);
        self.waiting -= before - line.waiting.len();
        if before > 0 && line.waiting.is_empty() {
            self.clean.retain(|turn| *turn != network);
            self.failed.retain(|turn| *turn != network);
        }
        self.forget_line(network);
    }

    fn forget_line(&mut self, network: Network) {
        if self.lines.get(&network).is_some_and(|line| line.running == 0 && line.waiting.is_empty()) {
            self.lines.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    impl Job for (u8, u32) {
        /// Those that are zero are not.
        fn is_wanted(&self) -> bool {
            self.1 != 0
        }
    }

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, last]))
    }

    fn queue(waiting: usize, waiting_of_one: usize, running_of_one: usize) -> FairQueue<(u8, u32)> {
        FairQueue::new(QueueLimits { waiting, waiting_of_one, running_of_one })
    }

    fn push(queue: &mut FairQueue<(u8, u32)>, from: u8, jobs: impl IntoIterator<Item = u32>) -> usize {
        push_as(queue, Standing::Clean, from, jobs)
    }

    fn push_as(
        queue: &mut FairQueue<(u8, u32)>,
        standing: Standing,
        from: u8,
        jobs: impl IntoIterator<Item = u32>,
    ) -> usize {
        jobs.into_iter().filter(|job| queue.push(network(from), standing, (from, *job)).is_ok()).count()
    }

    /// All that can run now, one after the other.
    fn run(queue: &mut FairQueue<(u8, u32)>) -> Vec<(u8, u32)> {
        let mut ran = Vec::new();
        while let Some((network, job)) = queue.next() {
            queue.done(network);
            ran.push(job);
        }
        assert!(
            queue.lines.is_empty() && queue.clean.is_empty() && queue.failed.is_empty() && queue.waiting == 0
        );
        ran
    }

    #[test]
    fn networks_are_served_by_turns_however_much_one_asks_for() {
        let mut queue = queue(100, 100, 1);
        push(&mut queue, 1, 1..=50);
        push(&mut queue, 2, [1]);
        push(&mut queue, 3, [1, 2]);
        let ran = run(&mut queue);
        assert_eq!(ran[..6], [(1, 1), (2, 1), (3, 1), (1, 2), (3, 2), (1, 3)]);
    }

    #[test]
    fn a_network_that_has_not_failed_is_served_before_any_number_that_have_and_these_are_served_too() {
        let mut queue = queue(100, 100, 1);
        for from in 1..=9 {
            push_as(&mut queue, Standing::Failed, from, 1..=5);
        }
        push(&mut queue, 10, 1..=6);
        let ran = run(&mut queue);
        assert_eq!(ran[..6], [(10, 1), (10, 2), (10, 3), (10, 4), (1, 1), (10, 5)]);
        assert_eq!(ran[6..9], [(10, 6), (2, 1), (3, 1)]);
    }

    #[test]
    fn only_so_many_of_one_network_run_at_once_while_others_do() {
        let mut queue = queue(100, 100, 2);
        push(&mut queue, 1, 1..=10);
        push(&mut queue, 2, [1]);
        let running: Vec<_> = std::iter::from_fn(|| queue.next()).map(|(_, job)| job).collect();
        assert_eq!(running, [(1, 1), (2, 1), (1, 2)]);
        queue.done(network(2));
        assert!(queue.next().is_none());
        queue.done(network(1));
        assert_eq!(queue.next(), Some((network(1), (1, 3))));
    }

    #[test]
    fn one_network_fills_its_own_line_and_no_more() {
        let mut queue = queue(100, 10, 1);
        assert_eq!(push(&mut queue, 1, 1..=50), 10);
        assert_eq!(push(&mut queue, 2, 1..=50), 10);
    }

    #[test]
    fn when_all_is_full_the_newest_of_the_longest_line_makes_way() {
        let mut queue = queue(10, 9, 1);
        push(&mut queue, 1, 1..=8);
        push(&mut queue, 2, 1..=2);
        assert_eq!(push(&mut queue, 3, [1]), 1);
        assert_eq!(push(&mut queue, 1, [9]), 0, "it is the longest itself");
        let ran = run(&mut queue);
        assert!(ran.contains(&(3, 1)) && ran.contains(&(1, 7)) && !ran.contains(&(1, 8)), "{ran:?}");
    }

    #[test]
    fn what_nobody_waits_for_any_more_takes_no_room() {
        let mut queue = queue(10, 9, 1);
        push(&mut queue, 1, [0; 9]);
        assert_eq!(push(&mut queue, 1, [1]), 1);
        push(&mut queue, 2, [0; 9]);
        assert_eq!(push(&mut queue, 3, 1..=9), 9);
        assert_eq!(run(&mut queue).into_iter().filter(|(from, _)| *from == 3).count(), 9);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_bounded_and_serves_everybody(
            steps in proptest::collection::vec((0_u8..5, 0_u32..3, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut queue = queue(12, 6, 2);
            let mut running = Vec::new();
            for (from, job, has_failed, runs) in steps {
                if runs {
                    running.extend(queue.next().map(|(network, _)| network));
                    if running.len() > 2 {
                        queue.done(running.remove(0));
                    }
                } else {
                    let standing = if has_failed { Standing::Failed } else { Standing::Clean };
                    let _ = queue.push(network(from), standing, (from, job));
                }
                prop_assert!(queue.waiting <= 12);
                let waiting: usize = queue.lines.values().map(|line| line.waiting.len()).sum();
                prop_assert_eq!(waiting, queue.waiting);
                for (network, line) in &queue.lines {
                    prop_assert!(line.running <= 2 && line.waiting.len() <= 6);
                    let turns = queue.clean.iter().chain(&queue.failed).filter(|turn| *turn == network).count();
                    prop_assert_eq!(turns, usize::from(!line.waiting.is_empty()));
                }
            }
            for network in running {
                queue.done(network);
            }
            run(&mut queue);
        }
    }
}
