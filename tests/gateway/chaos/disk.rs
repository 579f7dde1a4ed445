//! A disk whose power is cut: what was written and not flushed is gone, as the kernel itself tells it.
//!
//! ext4 on a loop device over an image. What a program writes stays in ext4's own cache until it is flushed, and the image is
//! what the disk has. A copy of the image, taken with no flush before, is the disk after a power cut.

use super::world::run;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The least for ext4 with a journal, and room for all that a round can say.
const SIZE: u64 = 4 << 20;

pub struct Disk {
    image: PathBuf,
    pub place: PathBuf,
}

impl Disk {
    /// # Errors
    /// In words, where there are no loop devices.
    pub fn new(room: &Path) -> Result<Disk, String> {
        let (memory, place) = (room.join("memory"), room.join("disk"));
        for directory in [&memory, &place] {
            fs::create_dir(directory).unwrap();
        }
        // Flushing is not what takes the time here.
        run(&format!("mount -t tmpfs none {}", memory.display()))?;
        let disk = Disk { image: memory.join("image"), place };
        File::create(&disk.image).unwrap().set_len(SIZE).unwrap();
        run(&format!("mkfs.ext4 -q -F {}", disk.image.display()))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<String, String> {
        run(&format!("mount -o loop {} {}", self.image.display(), self.place.display()))
    }

    /// Cuts the power, and switches it on again. Nobody may have a file of it open.
    pub fn cut(&self) {
        let after = self.image.with_extension("after");
        fs::copy(&self.image, &after).unwrap();
        run(&format!("umount {}", self.place.display())).unwrap();
        fs::rename(&after, &self.image).unwrap();
        self.mount().unwrap();
    }
}
