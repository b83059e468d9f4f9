namespace popgate::http {}
