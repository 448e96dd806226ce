"""Drawing of the procedural picture set: geometry, paints, subjects, scenery and the canvas joining them."""
