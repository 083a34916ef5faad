//! How much evidence is enough. A place is known where all objects bear it out, or nearly all, and where no other could be
//! meant: every other is contradicted by at least two objects more. One object can be damaged, or hold what is asked for
//! by chance; so the fewer objects are left, the more places look alike, and the less is known.

/// So many objects more contradict every other place.
pub(super) const MARGIN: usize = 2;

/// The only place of several; `against` counts the objects that contradict one, `None` where it cannot be the place at
/// all. More than `most` of them may not contradict the best. A place that holds the `same` as that, as far as the objects
/// tell, is no other: the first of them is taken.
pub(super) fn only_place(
    places: impl Iterator<Item = usize>,
    most: usize,
    against: impl Fn(usize) -> Option<usize>,
    same: impl Fn(usize, usize) -> bool,
) -> Option<usize> {
    let mut all: Vec<(usize, usize)> = places.filter_map(|at| Some((against(at)?, at))).collect();
    all.sort_unstable();
    let &(least, best) = all.first().filter(|(least, _)| *least <= most)?;
    let rivals = all.iter().skip(1).take_while(|(count, _)| *count < least.saturating_add(MARGIN));
    rivals.into_iter().all(|&(_, other)| same(best, other)).then_some(best)
}

/// No other place holds the same.
pub(super) const fn never(_: usize, _: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_where_two_objects_contradict_every_other() {
        let of = |against: &'static [Option<usize>]| {
            only_place(0..against.len(), usize::MAX, move |at| against[at], never)
        };
        assert_eq!(of(&[Some(5), Some(0), Some(2), None]), Some(1));
        assert_eq!(of(&[Some(5), Some(0), Some(1)]), None, "one object can be damaged");
        assert_eq!(of(&[Some(3), Some(1), Some(4)]), Some(1));
        assert_eq!(of(&[Some(0), Some(0)]), None);
        assert_eq!(of(&[None, None]), None);
        let twins = |a: usize, b: usize| a / 2 == b / 2;
        assert_eq!(only_place(0..6, usize::MAX, |at| Some(usize::from(at / 2 != 1) * 9), twins), Some(2));
        assert_eq!(only_place(0..6, usize::MAX, |at| Some(usize::from(at / 2 != 1)), twins), None);
    }
}
