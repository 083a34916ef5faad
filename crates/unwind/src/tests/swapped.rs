//! Return addresses that a tracer took from the stack.

use super::*;

/// The first byte of the last function, which is the tracer's own.
pub(super) const TRACER: u64 = TEXT + 0xf00;

fn traced(taken: bool) -> (World, Unwound) {
    let mut world = World::new();
    world.call(0, 16).call(1, 24).call(2, 8).entry(3, OrcKind::End, SP, 0).call(15, 8);
    // the stack of 0 <- 1 <- 2 <- 3, where 1 and 2 are traced; a stale return address lies in the frame of 2
    world.put(TASK + 0x1008, &[back(1), 0, back(5), TRACER, TRACER, back(3)]);
    if taken {
        world.taken = [(TASK + 0x1020, back(2)), (TASK + 0x1028, back(3))].into();
    }
    let unwound = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    (world, unwound)
}

#[test]
fn what_was_taken_stands_in_its_place() {
    let (_, found) = traced(true);
    let exact = [back(1), back(2), back(3)].map(|pc| (pc, How::Orc));
    assert_eq!(places(&found)[1..], exact);
    assert_eq!(found.stopped, StopReason::EndOfStack);
    assert_eq!(found.frames[2].slot, Some(VirtAddr(TASK + 0x1020)));
    assert!(found.frames.iter().skip(1).all(|f| f.is_call && f.lookup().0 == f.pc.0 - 1));
}

#[test]
fn where_nothing_says_what_was_taken_the_rest_is_guessed() {
    let (_, found) = traced(false);
    assert_eq!(places(&found)[1..], [(back(1), How::Orc), (TRACER, How::Orc), (back(3), How::Scan)]);
    // no call returns to the first byte of a function that no call stands before
    let tracer = &found.frames[2];
    assert_eq!((tracer.is_call, tracer.lookup().0), (false, TRACER));
}

#[test]
fn a_scan_takes_what_was_taken_for_the_return_address_that_it_is() {
    let mut world = World::new();
    // nothing is known of 0
    world.call(1, 8).entry(2, OrcKind::End, SP, 0);
    world.put(TASK + 0x1010, &[TRACER, back(2)]);
    world.taken = [(TASK + 0x1010, back(1))].into();
    let found = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(places(&found)[1..], [(back(1), How::Scan), (back(2), How::Orc)]);
}

#[test]
fn a_call_at_the_end_of_a_function_returns_to_the_first_byte_of_the_next() {
    let mut world = World::new();
    world.call(0, 8).entry(1, OrcKind::End, SP, 0).call(2, 8);
    // a call that ends function 1
    world.memory.get_mut(&TEXT).unwrap()[0x1fb] = 0xe8;
    world.put(TASK + 0x1000, &[TEXT + 0x200]);
    let found = world.unwind(start(TEXT + 0x50, TASK + 0x1000));
    assert_eq!(found.frames[1].lookup().0, TEXT + 0x1ff);
    assert_eq!(found.stopped, StopReason::EndOfStack);
}
