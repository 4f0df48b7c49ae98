//! RIFF WAVE, 16-bit PCM mono (Microsoft/IBM "Multimedia Programming Interface and Data Specifications 1.0").

use super::perform::RATE;

const HEADER: u32 = 44;
const BYTES_EACH: u16 = 2;

/// The whole file.
pub(crate) fn file(samples: &[i16]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * usize::from(BYTES_EACH)).unwrap_or(u32::MAX - HEADER);
    let mut file = Vec::with_capacity((HEADER + bytes) as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(HEADER - 8 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // PCM, one channel.
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * u32::from(BYTES_EACH)).to_le_bytes());
    file.extend_from_slice(&BYTES_EACH.to_le_bytes());
    file.extend_from_slice(&16_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&sample.to_le_bytes());
    }
    file
}
