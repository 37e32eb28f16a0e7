//! Once a call is up, a frame of voice costs no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use twocan::api::CallId;
use twocan::audio::{Audio, AudioEvent, Backend, Settings};
use twocan::phone::types::OpenMic;

struct Counting;

static COUNTED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_VOICE: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Counts what the thread called `voice` allocates.
fn count() {
    let voice = IS_VOICE.with(|known| {
        known.get().unwrap_or_else(|| {
            // Looking allocates, which must not look again.
            known.set(Some(false));
            let voice = std::thread::current().name() == Some("voice");
            known.set(Some(voice));
            voice
        })
    });
    if voice {
        COUNTED.fetch_add(1, Relaxed);
    }
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as asked by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as asked by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test]
async fn a_running_call_allocates_nothing_per_frame() {
    let (audio, mut events) = Audio::start(Settings::new(Backend::Null)).expect("started");
    audio.open(OpenMic::for_testing_only(CallId(1)));
    let (mut frames, mut before) = (0u64, 0);
    while frames < 250 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
        match event.expect("in time").expect("open") {
            AudioEvent::Frame(call, frame, _) => {
                audio.push(call, frame);
                frames += 1;
            }
            AudioEvent::Stats { stats, .. } => assert!(stats.recorded > 0),
            _ => {}
        }
        if frames == 100 {
            before = COUNTED.load(Relaxed);
        }
    }
    let allocated = COUNTED.load(Relaxed) - before;
    assert!(before > 0, "the counter does not count");
    // The channel to the engine keeps its events in blocks of 32, which it may fetch anew.
    assert!(
        allocated <= 8,
        "{allocated} allocations for 150 frames each way"
    );
}
