"""The figures of Zeiler and Fergus (2014), live, on the network at hand: a panel each, one file a panel."""
