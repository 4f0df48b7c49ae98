//! Compiles the proto with protox (no protoc on the machine) and keeps its descriptors for reflection.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PROTO: &str = "proto/son1k/tokenpool/v1/token_pool.proto";
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gives OUT_DIR")?);
    std::fs::write(out.join("token_pool.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        // Secrets pass through these: their Debug is written by hand.
        .skip_debug(["son1k.tokenpool.v1.Lease", "son1k.tokenpool.v1.NewToken"])
        .compile_fds(descriptors)?;
    Ok(())
}
