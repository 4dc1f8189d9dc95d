//! Threads for parsing and filling templates: work that needs time and stack, away from the threads
//! that serve requests.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use relive_session::ambient;

/// Bytes of stack, of which only the used part takes memory. Templates with the most tokens allowed need
/// less than half of it.
const STACK: usize = 128 * 1024 * 1024;
/// Jobs that wait for a thread. Further callers wait before they are queued.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// The job panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Broken;

static QUEUED: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Half of the processors remain for threads that serve requests.
    for _ in 0..(processors / 2).clamp(1, 4) {
        let receiver = Arc::clone(&receiver);
        let started = large().spawn(move || work(&receiver));
        if let Err(error) = started {
            tracing::error!(%error, "cannot start a thread for templates");
        }
    }
    sender
});

fn large() -> thread::Builder {
    thread::Builder::new().name("relive-templates".to_owned()).stack_size(STACK)
}

fn work(receiver: &Mutex<mpsc::Receiver<Job>>) {
    HAS_STACK.set(true);
    loop {
        let Some(job) = receiver.lock().blocking_recv() else { return };
        // A panic ends the job, whose result is dropped, and not the thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Runs `job` on one of the threads, in its turn. If dropped before that, it never runs.
///
/// # Errors
///
/// [`Broken`] when it panics.
pub async fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    if ambient::is_supplied() {
        // The time of a simulation must not depend on other threads.
        return Ok(job());
    }
    let (answer, answered) = oneshot::channel();
    let job = Box::new(move || {
        if !answer.is_closed() {
            let _ = answer.send(job());
        }
    });
    QUEUED.send(job).await.map_err(|_| Broken)?;
    answered.await.map_err(|_| Broken)
}

/// Runs `job` on this thread, with as much stack as it may need.
///
/// # Panics
///
/// When `job` does.
pub fn with_stack<T: Send>(job: impl FnOnce() -> T + Send) -> T {
    if HAS_STACK.get() {
        return job();
    }
    let job = || {
        HAS_STACK.set(true);
        job()
    };
    thread::scope(|scope| match large().spawn_scoped(scope, job).map(thread::ScopedJoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => std::panic::resume_unwind(Box::new(format!("cannot start a thread: {error}"))),
    })
}
