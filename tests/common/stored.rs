//! Properties of what is read back from a store, called by tests, replayed seeds and fuzz targets.
