#![no_main]

rialto_fuzz::fuzz!(turn_stream);
