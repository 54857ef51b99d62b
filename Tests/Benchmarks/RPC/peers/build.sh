#!/usr/bin/env bash
# build.sh PEER FOLDER: builds a peer of `llmos bench rpc` (grpc-cpp or grpc-swift) into FOLDER, once.
# Prints the path of its executable on the last line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peer=${1:?grpc-cpp or grpc-swift} folder=${2:?a folder for what is built}
mkdir -p "$folder"
case $peer in
grpc-cpp)
  bash "$here/../../../../deploy/install.sh" g++ pkg-config protobuf-compiler protobuf-compiler-grpc libgrpc++-dev >&2
  if [ ! "$folder/echo-grpc-cpp" -nt "$here/grpc-cpp/echo.cc" ] || [ ! "$folder/echo-grpc-cpp" -nt "$here/grpc-cpp/echo.proto" ]; then
    (cd "$here/grpc-cpp" && protoc --cpp_out="$folder" --grpc_out="$folder" \
      --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" echo.proto)
    # shellcheck disable=SC2046
    g++ -std=c++17 -O3 -DNDEBUG -I"$folder" "$here/grpc-cpp/echo.cc" "$folder"/echo.pb.cc "$folder"/echo.grpc.pb.cc \
      -o "$folder/echo-grpc-cpp" $(pkg-config --cflags --libs grpc++ protobuf) >&2
  fi
  echo "$folder/echo-grpc-cpp"
  ;;
grpc-swift)
  swift build -c release --package-path "$here/grpc-swift" --scratch-path "$folder" --product echo-grpc-swift >&2
  echo "$folder/release/echo-grpc-swift"
  ;;
*) echo "no such peer: $peer" >&2; exit 64 ;;
esac
