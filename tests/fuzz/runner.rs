//! Runs the targets: the corpus first, then blocks of cases on all processors. A block depends on the seed, the
//! target and its own number alone.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use relive::fuzzing::with_stack;

use crate::corpus::Corpus;
use crate::memory::most_held;
use crate::random::Random;
use crate::targets::Target;

/// Cases that share starting points which they found.
const BLOCK: u64 = 2_000;
/// Failures of one target after which no more of its cases are run.
const ENOUGH: usize = 5;
/// What one input may take of a processor. Debug builds are some ten times slower.
const TIME: Duration = if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(4) };
/// Tries to make a failing input smaller.
const SMALLER: usize = 3_000;

thread_local! {
    /// Whether an input is being tried, and not an input made.
    static TRIES: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the words of a panic instead of printing them: there may be many, of which the product catches some.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what: String = info.payload_as_str().unwrap_or("no text").chars().take(2_000).collect();
        if !TRIES.get() {
            eprintln!("a panic of the runner itself at {place}: {what}");
        }
        PANIC.with(|panic| panic.replace(Some(format!("{place}: {what}"))));
    }));
}

/// What is wrong with how an input was taken; else a number that stands for what came of it.
fn attempt(target: &Target, input: &[u8]) -> Result<u64, String> {
    let began = Instant::now();
    let check = || most_held(|| catch_unwind(AssertUnwindSafe(|| (target.check)(input))));
    TRIES.set(true);
    let (outcome, held) = check();
    TRIES.set(false);
    let outcome = outcome.map_err(|_| PANIC.with(RefCell::take).unwrap_or_else(|| "a panic".to_owned()))?;
    let allowed = target.memory + 64 * input.len();
    if held > allowed {
        return Err(format!("it took {held} bytes of memory; at most {allowed} are allowed"));
    }
    // Other processes may have taken the time; the second time only what this thread took counts.
    if began.elapsed() > TIME {
        let before = processor_time();
        TRIES.set(true);
        let _ = check();
        TRIES.set(false);
        let took = processor_time().saturating_sub(before);
        if took > TIME {
            return Err(format!("it took {took:?}"));
        }
    }
    Ok(outcome)
}

fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

/// Tries one input.
pub fn only(target: &Target, input: &[u8]) -> ExitCode {
    match with_stack(|| attempt(target, input)) {
        Ok(outcome) => {
            println!("{}: fine ({outcome:x})", target.name);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            println!("{}: {problem}", target.name);
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Tally {
    cases: u64,
    files: usize,
    time: Duration,
    outcomes: HashSet<u64>,
    /// By what went wrong, without what differs from input to input.
    failures: BTreeMap<String, String>,
}

struct Work<'a> {
    target: &'a Target,
    at: usize,
    corpus: &'a Corpus,
    /// `None`: the corpus itself.
    block: Option<u64>,
    cases: u64,
}

pub fn run(targets: &[&Target], cases: u64, seed: u64) -> ExitCode {
    let began = Instant::now();
    let corpora: Vec<Corpus> = targets.iter().map(|target| Corpus::of(target.name)).collect();
    let shares: u64 = targets.iter().map(|target| target.share).sum();
    let mut works = Vec::new();
    for (at, (target, corpus)) in targets.iter().zip(&corpora).enumerate() {
        works.push(Work { target, at, corpus, block: None, cases: 0 });
        let (mut left, mut block) = (cases * target.share / shares, 0);
        while left > 0 {
            let cases = left.min(BLOCK);
            works.push(Work { target, at, corpus, block: Some(block), cases });
            left -= cases;
            block += 1;
        }
    }
    let tallies: Vec<Mutex<Tally>> = targets.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            // As much stack as where the product reads templates.
            scope.spawn(|| with_stack(|| work_through(&works, &next, &tallies, seed)));
        }
    });
    tell(targets, tallies, began)
}

fn work_through(works: &[Work<'_>], next: &AtomicUsize, tallies: &[Mutex<Tally>], seed: u64) {
    while let Some(work) = works.get(next.fetch_add(1, Ordering::Relaxed)) {
        let tally = &tallies[work.at];
        if tally.lock().unwrap().failures.len() >= ENOUGH {
            continue;
        }
        let began = Instant::now();
        match work.block {
            None => replay(work, tally),
            Some(block) => mutate(work, block, tally, seed),
        }
        tally.lock().unwrap().time += began.elapsed();
    }
}

fn replay(work: &Work<'_>, tally: &Mutex<Tally>) {
    for (path, input) in work.corpus.files() {
        let outcome = attempt(work.target, input);
        let mut tally = tally.lock().unwrap();
        tally.files += 1;
        match outcome {
            Ok(outcome) => drop(tally.outcomes.insert(outcome)),
            Err(problem) => {
                drop(tally.failures.insert(general(&problem), format!("{problem}\n    {}", path.display())))
            }
        }
    }
}

fn mutate(work: &Work<'_>, block: u64, tally: &Mutex<Tally>, seed: u64) {
    let mut name = DefaultHasher::new();
    work.target.name.hash(&mut name);
    let mut random = Random::of(&[seed, name.finish(), block]);
    let (mut pool, mut seen) = (work.corpus.pool(), HashSet::new());
    for _ in 0..work.cases {
        let input = {
            let (one, other) = (pool.pick(&mut random), pool.pick(&mut random));
            (work.target.change)(one, other, &mut random)
        };
        match attempt(work.target, &input) {
            // What ends as nothing before is worth going on from.
            Ok(outcome) => {
                if seen.insert(outcome) {
                    pool.keep(&input, &mut random);
                }
            }
            Err(problem) => {
                let kind = general(&problem);
                let is_new = !tally.lock().unwrap().failures.contains_key(&kind);
                if is_new {
                    let (problem, kept) = keep(work.target, &input, &problem);
                    tally.lock().unwrap().failures.insert(kind, format!("{problem}\n    {kept}"));
                }
            }
        }
    }
    let mut tally = tally.lock().unwrap();
    tally.cases += work.cases;
    tally.outcomes.extend(seen);
}

/// Where it went wrong, without what it says of the input.
fn general(problem: &str) -> String {
    let (place, words) = problem.split_once(": ").filter(|(place, _)| place.contains(".rs:")).unwrap_or(("", problem));
    let words: String = words.chars().filter(|c| !c.is_ascii_digit()).take(40).collect();
    format!("{place} {words}")
}

/// Writes a failing input, made smaller, into a file.
fn keep(target: &Target, input: &[u8], problem: &str) -> (String, String) {
    let (mut small, mut problem) = (input.to_vec(), problem.to_owned());
    let (mut tries, mut length) = (0, small.len() / 2);
    while length > 0 && tries < SMALLER {
        let mut at = 0;
        while at < small.len() && tries < SMALLER {
            tries += 1;
            let mut smaller = small.clone();
            smaller.drain(at..(at + length).min(small.len()));
            match attempt(target, &smaller) {
                Err(same) if general(&same) == general(&problem) => (small, problem) = (smaller, same),
                _ => at += length,
            }
        }
        length /= 2;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let mut name = DefaultHasher::new();
    small.hash(&mut name);
    let path = folder.join(format!("{}-{:016x}", target.name, name.finish()));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &small));
    (problem, written.map_or_else(|error| error.to_string(), |()| path.display().to_string()))
}

fn tell(targets: &[&Target], tallies: Vec<Mutex<Tally>>, began: Instant) -> ExitCode {
    let mut is_fine = true;
    let (mut cases, mut files) = (0, 0);
    println!("{:<10} {:>6} {:>10} {:>9} {:>9} {:>9}", "target", "files", "cases", "outcomes", "seconds", "us/case");
    for (target, tally) in targets.iter().zip(tallies) {
        let tally = tally.into_inner().unwrap();
        let (seconds, each) = (tally.time.as_secs_f64(), tally.time.as_secs_f64() * 1e6 / tally.cases.max(1) as f64);
        let (name, outcomes) = (target.name, tally.outcomes.len());
        println!("{name:<10} {:>6} {:>10} {outcomes:>9} {seconds:>9.1} {each:>9.1}", tally.files, tally.cases);
        (cases, files) = (cases + tally.cases, files + tally.files);
        for failure in tally.failures.values() {
            is_fine = false;
            println!("  {name}: {failure}");
        }
    }
    println!("fuzz: {files} files, {cases} cases in {:.1} s", began.elapsed().as_secs_f64());
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
