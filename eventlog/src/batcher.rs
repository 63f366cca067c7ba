//! What is asked for at the same time is done together. A lone question is worked on at once, without a timer; while
//! it is, others gather, and become one set. This is the log's group commit, for what comes before the log: under load
//! the lookups of many requests become one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// Answers a set of questions of one lane, in their order.
type BatchWork<L, Q, A> = dyn Fn(L, Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync;

/// How much is done together.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most questions of a set.
    pub most: usize,
    /// Sets of one lane that are worked on at the same time: while one waits for the disk, the next one is prepared.
    pub sets: usize,
}

/// Batches requests by lane. Lanes never wait for one another.
pub struct Batcher<L, Q, A> {
    lanes: Mutex<HashMap<L, BatchLane<Q, A>>>,
    work: Box<BatchWork<L, Q, A>>,
    together: BatchLimits,
}

struct BatchLane<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<A>)>,
    running: usize,
}

impl<L, Q, A> Batcher<L, Q, A>
where
    L: Copy + Eq + Hash + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    /// `work` gives one answer for each question of a set, in their order.
    pub fn new(
        together: BatchLimits,
        work: impl Fn(L, Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { lanes: Mutex::default(), work: Box::new(work), together })
    }

    /// The answer, or none if the work on its set ended without one. What is begun is finished, even if the caller
    /// has gone away.
    pub async fn submit(self: &Arc<Self>, lane: L, question: Q) -> Option<A> {
        let (answer, answered) = oneshot::channel();
        let starts = {
            let mut lanes = self.lock();
            let state = lanes.entry(lane).or_insert_with(|| BatchLane { waiting: VecDeque::new(), running: 0 });
            state.waiting.push_back((question, answer));
            let starts = state.running < self.together.sets;
            state.running += usize::from(starts);
            starts
        };
        if starts {
            tokio::spawn(Arc::clone(self).run(lane));
        }
        answered.await.ok()
    }

    async fn run(self: Arc<Self>, lane: L) {
        while let Some((questions, askers)) = self.next(lane) {
            // A separate task, so that a panic ends this set and not the lane.
            match tokio::spawn((self.work)(lane, questions)).await {
                Ok(answers) => {
                    for (asker, answer) in askers.into_iter().zip(answers) {
                        // A caller that has gone away does not wait for it.
                        drop(asker.send(answer));
                    }
                }
                // What it says of itself may quote what a panic was about.
                Err(error) => tracing::error!(panicked = error.is_panic(), "a set was not answered"),
            }
        }
    }

    /// What is waiting; nothing if the runner may end, which it then has.
    fn next(&self, lane: L) -> Option<(Vec<Q>, Vec<oneshot::Sender<A>>)> {
        let mut lanes = self.lock();
        let state = lanes.get_mut(&lane)?;
        if state.waiting.is_empty() {
            state.running -= 1;
            if state.running == 0 {
                lanes.remove(&lane);
            }
            return None;
        }
        let count = state.waiting.len().min(self.together.most);
        Some(state.waiting.drain(..count).unzip())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<L, BatchLane<Q, A>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers each question with the size of its set, once it is let.
    fn sizes(together: BatchLimits) -> (Arc<Semaphore>, Arc<Batcher<u8, u32, usize>>) {
        let gate = Arc::new(Semaphore::new(0));
        let work = {
            let gate = Arc::clone(&gate);
            move |_, questions: Vec<u32>| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    assert!(!questions.contains(&666), "the work fails");
                    vec![questions.len(); questions.len()]
                }
                .boxed()
            }
        };
        (gate, Batcher::new(together, work))
    }

    async fn ask(batcher: &Arc<Batcher<u8, u32, usize>>, lane: u8, question: u32) -> Option<usize> {
        batcher.submit(lane, question).await
    }

    #[tokio::test]
    async fn what_comes_while_a_set_is_worked_on_becomes_the_next() {
        let (gate, batcher) = sizes(BatchLimits { most: 100, sets: 1 });
        let others = async {
            // The first is being worked on by now.
            tokio::task::yield_now().await;
            let others = join_all((1..10).map(|n| ask(&batcher, 0, n)));
            gate.add_permits(2);
            others.await
        };
        let (first, others) = tokio::join!(ask(&batcher, 0, 0), others);
        assert_eq!((first, others), (Some(1), vec![Some(9); 9]));
        tokio::task::yield_now().await;
        assert!(batcher.lock().is_empty(), "an idle lane leaves nothing behind");
    }

    #[tokio::test]
    async fn sets_are_bounded_and_lanes_do_not_wait_for_one_another() {
        let (gate, batcher) = sizes(BatchLimits { most: 3, sets: 1 });
        let slow = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { join_all((0..10).map(|n| ask(&batcher, 0, n))).await }
        });
        tokio::task::yield_now().await;
        gate.add_permits(20);
        assert_eq!(ask(&batcher, 1, 0).await, Some(1));
        assert!(slow.await.unwrap().into_iter().all(|size| size.is_some_and(|size| size <= 3)));
    }

    #[tokio::test]
    async fn a_set_that_fails_takes_nobody_else_with_it() {
        let (gate, batcher) = sizes(BatchLimits { most: 1, sets: 1 });
        gate.add_permits(3);
        assert_eq!(ask(&batcher, 0, 666).await, None);
        assert_eq!(ask(&batcher, 0, 1).await, Some(1));
    }
}
