//! A seeded random number generator: equal seeds give equal numbers on every machine.
//!
//! PCG-XSH-RR 64/32 (M. O'Neill, 2014): integers only, so a 32-bit router and a server get the same numbers.

/// A stream of numbers that depends only on its seed.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Random {
        let mut random = Random { state: seed.wrapping_add(INCREMENT) };
        random.next();
        random
    }

    /// The next number, uniform over `u32`.
    #[expect(
        clippy::should_implement_trait,
        reason = "a stream of numbers that never ends is no iterator here"
    )]
    pub fn next(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        let shifted = (((old >> 18) ^ old) >> 27) as u32;
        shifted.rotate_right((old >> 59) as u32)
    }

    /// A number from 0 to `n - 1`; 0 if `n` is 0. The bias is below `n / 2^32`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(n)) >> 32) as u32
    }

    /// True with a probability of `permille` in a thousand.
    pub fn chance(&mut self, permille: u16) -> bool {
        permille > 0 && self.below(1_000) < u32::from(permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams_and_different_seeds_do_not() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chance_is_true_with_the_given_probability() {
        let mut random = Random::new(1);
        let hits = (0..100_000).filter(|_| random.chance(200)).count();
        assert!((19_500..20_500).contains(&hits), "{hits}");
    }
}
