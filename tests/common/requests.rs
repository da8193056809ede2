//! Properties of the request parsers, called by tests, replayed seeds and fuzz targets.
