//! The loop of the screen on a fake terminal and a virtual clock.

mod screen;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use screen::*;
use tokio::sync::mpsc;
use tokio::time::Instant;
use twocan::api::*;
use twocan::tui::driver::{Driver, Keyboard, Settings, Surface};
use twocan::tui::glyphs::UNICODE;
use twocan::tui::model::Model;
use twocan::tui::notify::Surroundings;
use twocan::tui::{Exit, Link, ScreenError};

/// What the fake terminal has seen.
#[derive(Default)]
struct Seen {
    pictures: Vec<Model>,
    sequences: String,
}

struct Fake(Rc<RefCell<Seen>>);

impl Surface for Fake {
    fn draw(&mut self, model: &Model, _whole: bool) -> io::Result<()> {
        self.0.borrow_mut().pictures.push(model.clone());
        Ok(())
    }

    fn emit(&mut self, sequence: &str) -> io::Result<()> {
        self.0.borrow_mut().sequences.push_str(sequence);
        Ok(())
    }

    fn repaint(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_up(&self) -> bool {
        true
    }
}

struct Hands(mpsc::Receiver<TerminalEvent>);

impl Keyboard for Hands {
    async fn next(&mut self) -> Option<io::Result<TerminalEvent>> {
        self.0.recv().await.map(Ok)
    }

    fn release(&mut self) {}
}

/// The outside of a running screen.
struct World {
    seen: Rc<RefCell<Seen>>,
    hands: mpsc::Sender<TerminalEvent>,
    requests: mpsc::Receiver<Request>,
    engine: mpsc::Sender<Message>,
}

impl World {
    fn pictures(&self) -> usize {
        self.seen.borrow().pictures.len()
    }

    async fn tell(&self, event: Event) {
        let stamped = Stamped { event, at: clock() };
        self.engine
            .send(Message::Event(stamped))
            .await
            .expect("the screen runs");
    }

    async fn key(&self, letter: char) {
        let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
        self.hands
            .send(TerminalEvent::Key(key))
            .await
            .expect("the screen runs");
    }
}

thread_local! {
    static ORIGIN: RefCell<Option<Instant>> = const { RefCell::new(None) };
}

/// Noon plus the virtual time that has passed.
fn clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "tokio's virtual clock")]
    let now = Instant::now();
    let origin = ORIGIN.with_borrow_mut(|origin| *origin.get_or_insert(now));
    let passed = SignedDuration::try_from(now - origin).expect("a short test");
    noon() + passed
}

async fn with_screen<F: Future<Output = World>>(
    play: impl FnOnce(World) -> F,
) -> (Result<Exit, ScreenError>, World) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (hands, keys) = mpsc::channel(32);
    let (commands, requests) = mpsc::channel(32);
    let (engine, messages) = mpsc::channel(256);
    let settings = Settings {
        gap: Duration::from_millis(100),
        meter_gap: Duration::from_millis(200),
        bell: true,
        desktop: true,
        surroundings: Surroundings::guess(|_| None),
    };
    let mut model = screen(
        UNICODE,
        Status {
            contacts: Vec::new(),
            ..status()
        },
    );
    model.look.borders = true;
    let link = Link { commands, messages };
    let driver =
        Driver::new(Fake(seen.clone()), Hands(keys), link, model, settings).with_clock(clock);
    let world = World {
        seen,
        hands,
        requests,
        engine,
    };
    tokio::join!(driver.run(std::future::pending()), play(world))
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_nothing_is_drawn() {
    let (exit, mut world) = with_screen(async |world| {
        pass(1_000).await;
        let pictures = world.pictures();
        pass(3_600_000).await;
        assert_eq!(world.pictures(), pictures);
        world.key('q').await;
        world
    })
    .await;
    assert!(matches!(exit, Ok(Exit::Left)), "{exit:?}");
    let mut asked = Vec::new();
    while let Some(request) = world.requests.recv().await {
        asked.push(request.command);
    }
    assert_eq!(
        asked,
        [
            Command::Status,
            Command::Listen { levels: true },
            Command::Quit
        ]
    );
}

/// On the real clock, where two looks at it differ.
#[tokio::test]
async fn the_first_picture_comes_by_itself() {
    let (exit, _) = with_screen(async |world| {
        let drawn = async {
            while world.pictures() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), drawn)
            .await
            .expect("a picture");
        world.key('q').await;
        world
    })
    .await;
    assert!(matches!(exit, Ok(Exit::Left)), "{exit:?}");
}

#[tokio::test(start_paused = true)]
async fn meters_are_drawn_at_their_pace_and_keys_at_theirs() {
    let (exit, _) = with_screen(async |world| {
        world
            .tell(call_event(1, 2, "bo", Direction::Out, CallState::Active))
            .await;
        pass(1_000).await;
        let before = world.pictures();
        for tenth in 0..100 {
            let mic = if tenth % 2 == 0 { 1.0 } else { 0.1 };
            world
                .tell(Event::Levels {
                    call: CallId(1),
                    mic,
                    speaker: 0.0,
                    talking: true,
                })
                .await;
            pass(100).await;
        }
        let meters = world.pictures() - before;
        assert!((40..=62).contains(&meters), "{meters} pictures in 10 s");
        let before = world.pictures();
        for _ in 0..100 {
            world.key('z').await;
            pass(10).await;
        }
        let keys = world.pictures() - before;
        assert!((9..=12).contains(&keys), "{keys} pictures in 1 s");
        world.key('q').await;
        world.key('y').await;
        world
    })
    .await;
    assert!(matches!(exit, Ok(Exit::Left)), "{exit:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_runs_by_itself() {
    let (_, world) = with_screen(async |world| {
        world
            .tell(call_event(1, 2, "bo", Direction::Out, CallState::Active))
            .await;
        pass(10_050).await;
        world
            .hands
            .send(TerminalEvent::FocusLost)
            .await
            .expect("the screen runs");
        world
            .tell(call_event(2, 1, "anna", Direction::In, CallState::Ringing))
            .await;
        pass(200).await;
        world.key('q').await;
        world.key('y').await;
        world
    })
    .await;
    let seen = world.seen.borrow();
    let shown: Vec<u64> = seen
        .pictures
        .iter()
        .filter_map(|model| Some(model.current()?.seconds(model.now)))
        .collect();
    assert!((0..=10).all(|second| shown.contains(&second)), "{shown:?}");
    assert!(shown.len() <= 15, "{shown:?}");
    assert!(
        seen.sequences
            .contains("\x1b]777;notify;twocan;anna calls\x1b\\\x07"),
        "{:?}",
        seen.sequences
    );
    assert!(
        seen.sequences.contains("\x1b]2;twocan: bo\x07"),
        "{:?}",
        seen.sequences
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_engine_ends_the_screen() {
    let (exit, _) = with_screen(async |mut world| {
        pass(10).await;
        world.engine = mpsc::channel(1).0;
        world
    })
    .await;
    assert!(matches!(exit, Err(ScreenError::EngineGone)), "{exit:?}");
}
