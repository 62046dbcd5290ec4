//! Packages of plugins: archives, signatures, and where they come from.
