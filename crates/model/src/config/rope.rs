//! Rotary angles (Su et al. 2021) and their scalings.

use serde::Serialize;

use super::Config;

/// How rotary angles are stretched to longer texts than those of the first training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// All angles divided by a factor (Chen et al. 2023; `rope_type: linear`).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Long wavelengths divided by a factor (Dubey et al. 2024; `rope_type: llama3`).
    Llama3 {
        /// Factor on long wavelengths.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are scaled in full.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are left alone.
        high_freq_factor: f64,
        /// Context of the first training stage.
        original_max_position_embeddings: f64,
    },
}

impl Config {
    /// The rotary table `[positions, D]`: cosines of the `D / 2` angles, then their sines.
    pub fn rope_table(&self, positions: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let frequencies: Vec<f32> = (0..half).map(|i| self.frequency(i) as f32).collect();
        let mut table = Vec::with_capacity(positions * self.head_dim);
        for position in 0..positions {
            // In f32, as the reference implementation multiplies.
            let angles = frequencies.iter().map(|f| position as f32 * f);
            table.extend(angles.clone().map(|a| f64::from(a).cos() as f32));
            table.extend(angles.map(|a| f64::from(a).sin() as f32));
        }
        table
    }

    fn frequency(&self, i: usize) -> f64 {
        let plain = self.rope_theta.powf(-((2 * i) as f64) / self.head_dim as f64);
        self.rope_scaling.map_or(plain, |scaling| scaling.frequency(plain))
    }
}

impl RopeScaling {
    /// The frequency that stands for `plain`, in radians a position.
    pub(super) fn frequency(&self, plain: f64) -> f64 {
        match *self {
            RopeScaling::Linear { factor } => plain / factor,
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                let wavelength = std::f64::consts::TAU / plain;
                if wavelength < original / high_freq_factor {
                    plain
                } else if wavelength > original / low_freq_factor {
                    plain / factor
                } else {
                    let smooth =
                        (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * plain / factor + smooth * plain
                }
            }
        }
    }
}
