//! Five minutes on the seams of windows, with an outage of half a minute in the middle. `scripts/attack-limits` runs it; it is too long for
//! every day.

use super::attackers::{Answer, passed, together, worst_window};
use super::{Gateways, LIMIT, only};
use crate::system::Signal;
use std::time::{Duration, Instant};

/// Of the attack, from its begin.
const LENGTH: Duration = Duration::from_secs(300);
const FROZEN: Duration = Duration::from_secs(135);
const KILLED: Duration = Duration::from_secs(150);
const BACK: Duration = Duration::from_secs(165);
const CONNECTIONS: usize = 64;

/// Where a counter for each minute, or for each half of one, would let twice the limit pass: bursts around each of these, and a trickle.
fn pause(since: Duration) -> Duration {
    let to_seam = since.as_millis() % 10_000;
    Duration::from_millis(if (1_500..8_500).contains(&to_seam) { 400 } else { 20 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes: scripts/attack-limits"]
async fn five_minutes_on_the_seams_with_redis_away_for_thirty_seconds() {
    let mut gateways = Gateways::two(Duration::from_millis(50)).await;
    let key = gateways.hands_out_a_key(LIMIT).await;
    tokio::time::sleep(Duration::from_secs(4)).await;

    let begin = Instant::now();
    let connections = gateways.connections(CONNECTIONS, key).await;
    let attack = together(connections, move |_, connection| async move {
        let mut answers = Vec::new();
        while begin.elapsed() < LENGTH {
            answers.push(connection.knocks().await);
            tokio::time::sleep(pause(begin.elapsed())).await;
        }
        answers
    });
    let outage = async {
        tokio::time::sleep(FROZEN).await;
        gateways.app.redis().signal(Signal::Freeze);
        tokio::time::sleep(KILLED - FROZEN).await;
        gateways.app.redis().kill();
        tokio::time::sleep(BACK - KILLED).await;
        gateways.app.redis().starts_again().await;
        gateways.until_fallen_back([false, false]).await;
        begin.elapsed()
    };
    let (answers, back) = tokio::join!(attack, outage);

    only(&answers, &[404, 429]);
    let part = |from: Duration, to: Duration| -> Vec<Answer> {
        let within = |answer: &&Answer| answer.sent >= begin + from && answer.answered < begin + to;
        answers.iter().filter(within).cloned().collect()
    };
    let (before, after) = (part(Duration::ZERO, FROZEN), part(back + Duration::from_secs(60), LENGTH));
    let meanwhile = part(FROZEN, back);
    let (exact, whole) = (worst_window(&before).max(worst_window(&after)), worst_window(&answers));
    let slowest = |part: &[Answer]| part.iter().map(Answer::took).max().unwrap();
    let (usual, without) = (slowest(&before).max(slowest(&after)), slowest(&meanwhile));
    println!("{} requests in {} s, {} passed", answers.len(), LENGTH.as_secs(), passed(&answers));
    println!("worst 60 s while Redis answers: {exact} of {LIMIT}; with the outage in it: {whole} of {}", 2 * LIMIT + 2);
    println!("slowest answer: {usual:?} while Redis answers, {without:?} while it does not");
    println!("Redis was away from {FROZEN:?}; both gateways had found it again at {back:?}");
    assert!(exact <= LIMIT, "{exact}");
    assert!(whole <= 2 * LIMIT + 2, "{whole}");
    assert!(without < usual + Duration::from_millis(300), "{without:?}, else {usual:?}");
    gateways.app.stops().await;
}
