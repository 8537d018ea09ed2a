"""TagoNode's PC side: virtual boards, a local TagoIO stand-in, build and deploy."""
