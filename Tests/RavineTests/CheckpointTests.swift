import CRavine
import CShims
import Foundation
import Testing

@testable import Ravine

/// JSON from files that nobody vouches for, and what a checkpoint must hold.
struct CheckpointTests {
  // MARK: JSON

  /// Reads with a reader, and gives what was read.
  private func read<T>(_ text: [UInt8], _ body: (inout JSONReader) throws -> T) rethrows -> T {
    let strings = UnsafeMutablePointer<UInt8>.allocate(capacity: text.count)
    defer { strings.deallocate() }
    return try text.withUnsafeBufferPointer {
      var json = JSONReader($0, strings: strings)
      return try body(&json)
    }
  }

  private func string(_ text: [UInt8]) throws -> [UInt8] {
    try read(text) {
      let string = Array(try $0.string())
      try $0.end()
      return string
    }
  }

  private func string(_ text: String) throws -> String {
    String(decoding: try string(Array(text.utf8)), as: UTF8.self)
  }

  @Test func stringsLoseTheirEscapes() throws {
    for (text, expected) in [
      (#""""#, ""), (#""abc""#, "abc"), (#" "a b" "#, "a b"), (#""重み ß""#, "重み ß"),
      (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u0041\u00e9\u00DF""#, "Aéß"),
      (#""\u91cd""#, "重"), (#""\ud83d\ude00""#, "😀"), (#""\u007f""#, "\u{7f}"),
      (#""\u07ff""#, "\u{7ff}"),
      (#""\u0800""#, "\u{800}"), (#""\uffff""#, "\u{ffff}"), (#""\ud800\udc00""#, "\u{10000}"),
      (#""\udbff\udfff""#, "\u{10ffff}"),
    ] {
      #expect(try string(text) == expected, "\(text)")
    }
  }

  @Test func malformedStringsAreRefused() {
    for text in [
      "", "a", "'a'", #"""#, #""abc"#, #""\"#, #""\""#, #""\x""#, #""\u""#, #""\u12""#,
      #""\u12g4""#,
      #""\u+123""#, #""\ud83d""#, #""\ud83d\n""#, #""\ud83d\u0041""#, #""\ud83d\ud83d""#,
      #""\ude00""#, #""\u0000""#, "\"a\nb\"", "\"a\u{0}b\"", "\"a\tb\"", #""a" "b""#,
    ] {
      let error = failure { _ = try string(Array(text.utf8)) }
      #expect(error?.status == RVN_ERR_FORMAT, "\(text)")
      #expect(error?.message.string.hasPrefix("the header is damaged at byte ") ?? false, "\(text)")
    }
  }

  @Test func stringsThatAreNotUTF8AreRefused() {
    for bytes in [[0xff], [0x80], [0xc3], [0xed, 0xa0, 0x80]] as [[UInt8]] {
      #expect(failure { _ = try string([34] + bytes + [34]) }?.status == RVN_ERR_FORMAT, "\(bytes)")
    }
  }

  @Test func wholeNumbersAreRead() throws {
    for (text, value) in [
      ("0", 0), ("7", 7), (" 42 ", 42), ("9223372036854775807", Int.max),
    ] {
      let found = try read(Array(text.utf8)) {
        let n = try $0.integer()
        try $0.end()
        return n
      }
      #expect(found == value, "\(text)")
    }
    for text in ["", "-1", "+1", "a", "9223372036854775808", "99999999999999999999", "1.5", "1e3"] {
      let error = failure {
        _ = try read(Array(text.utf8)) {
          _ = try $0.integer()
          try $0.end()
        }
      }
      #expect(error?.status == RVN_ERR_FORMAT, "\(text)")
    }
  }

  @Test func whatIsQuotedReadsBack() throws {
    var random = Random(state: 5)
    var texts: [[UInt8]] = [[], Array(1...127), Array("重み \"ß\" \\ /".utf8)]
    for _ in 0..<200 {
      texts.append((0..<random.below(40)).map { _ in UInt8(1 + random.below(127)) })
    }
    for text in texts {
      let line = quoted(Text(text)).bytes
      #expect(try string(line) == text)
      #expect(line.allSatisfy { $0 >= 32 && $0 != 127 })
    }
  }

  // MARK: files

  private func withFile<T>(_ bytes: [UInt8], _ body: (String) throws -> T) throws -> T {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try Data(bytes).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
  }

  /// A file of this header and so many bytes of data.
  private func file(_ header: String, _ size: Int = 0) -> [UInt8] {
    let count = UInt64(header.utf8.count)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
    return length + Array(header.utf8) + [UInt8](repeating: 0x3f, count: size)
  }

  private func reading(_ bytes: [UInt8]) throws -> RavineError? {
    try withFile(bytes) { path in
      failure { _ = try CheckpointFile.read(path, ravine_allocator()) }
    }
  }

  private func record(_ type: String, _ shape: String, _ begin: String, _ end: String) -> String {
    "{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
  }

  @Test func goodFilesAreRead() throws {
    for (header, size) in [
      ("{}", 0), ("{}      ", 0), ("{\"__metadata__\":{}}", 0),
      ("{\"a\":\(record("F32", "[]", "0", "4"))}", 4),
      (
        "{\"a\":\(record("F32", "[2, 3]", "0", "24")), \"b\":\(record("BF16", "[1]", "24", "26"))}",
        26
      ),
      ("{\"a\":\(record("F64", "[0, 5]", "0", "0"))}", 0),
      // of a type that the library does not have, and so with a size that it does not know
      ("{\"a\":\(record("I8", "[3]", "0", "3"))}", 3),
      ("{\"a\":\(record("F16", "[1,1,1,1,1,1,1,2]", "0", "4"))}", 4),
    ] {
      #expect(try reading(file(header, size)) == nil, "\(header)")
    }
  }

  @Test func damagedFilesAreRefused() throws {
    let a = record("F32", "[2]", "0", "8")
    for (header, size) in [
      ("", 0), ("[]", 0), ("{", 0), ("{}x", 0), ("{} \u{0}", 0), ("{,}", 0), ("{\"a\"}", 0),
      ("{\"a\":1}", 0), ("{\"a\":{}}", 0), ("{\"a\":\(a),}", 8), ("{\"a\":\(a)", 8),
      ("{\"a\":\(a)}", 7),
      ("{\"a\":\(a)}", 9), ("{}", 1), ("{\"a\":\(a),\"a\":\(a)}", 8),
      ("{\"__metadata__\":[]}", 0), ("{\"__metadata__\":{\"a\":1}}", 0),
      ("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0), ("{\"__metadata__\":{\"a\":{}}}", 0),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 0),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}", 8),
      ("{\"a\":\(record("F32", "[3]", "0", "8"))}", 8),
      ("{\"a\":\(record("F32", "[2]", "8", "0"))}", 8),
      ("{\"a\":\(record("I8", "[3]", "3", "0"))}", 3),
      ("{\"a\":\(record("F32", "[-2]", "0", "8"))}", 8),
      ("{\"a\":\(record("F32", "[2.0]", "0", "8"))}", 8),
      ("{\"a\":\(record("F32", "[2,]", "0", "8"))}", 8),
      ("{\"a\":\(record("F32", "[1,1,1,1,1,1,1,1,2]", "0", "8"))}", 8),
      ("{\"a\":\(record("F32", "[4611686018427387904,4]", "0", "0"))}", 0),
      ("{\"a\":\(record("F32", "[2305843009213693952,2,2]", "0", "0"))}", 0),
      ("{\"a\":\(record("F32", "[0]", "9223372036854775807", "9223372036854775807"))}", 0),
      ("{\"a\":\(record("F32", "[1]", "0", "99999999999999999999"))}", 4),
    ] {
      #expect(try reading(file(header, size))?.status == RVN_ERR_FORMAT, "\(header)")
    }
  }

  @Test func headersThatDoNotFitTheirFileAreRefused() throws {
    let good = file("{}")
    for bytes in [
      [], [2], Array(good.prefix(7)), Array(good.prefix(8)), Array(good.prefix(9)),
      [1] + good.dropFirst(),
      [UInt8](repeating: 0xff, count: 8) + Array("{}".utf8),
      [0, 0, 0, 0, 0, 0, 0, 0x80] + Array("{}".utf8),
    ] as [[UInt8]] {
      #expect(try reading(bytes)?.status == RVN_ERR_FORMAT, "\(bytes)")
    }
    for path in ["/nowhere/at all", "/tmp", ""] {
      let error = failure { _ = try CheckpointFile.read(path, ravine_allocator()) }
      #expect(error?.status == RVN_ERR_IO, "\(path)")
    }
  }

  // MARK: saving and loading

  private let recipe =
    "clip_norm(1) | adam(0.5, amsgrad=1); c: frozen; \"d \\*\": sgd(1, momentum=0.9)"

  private func model(_ recipe: String? = nil) throws -> Model {
    let model = try Model(recipe ?? self.recipe)
    try model.add("ä/\"1\"", [3, 2]).add("b", [5], RVN_F64).add("c", [], RVN_BF16).add("e", [0, 4])
    return try model.add("d \\x", [2], RVN_F16, grad: RVN_F32)
  }

  private func saved(_ model: Model) throws -> [UInt8] {
    try withFile([]) { path in
      try model.optimizer.save(path)
      return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }
  }

  @Test func theHeaderIsJSONAsOthersReadIt() throws {
    let saved = try self.model()
    try saved.optimizer.prepare()
    let bytes = try self.saved(saved)
    let length = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    #expect(length % 8 == 0)
    let header =
      try JSONSerialization.jsonObject(with: Data(bytes[8..<8 + length])) as? [String: Any]
    let metadata = header?["__metadata__"] as? [String: String]
    #expect(
      metadata?["format"] == "ravine" && metadata?["step"] == "0" && metadata?["step/b"] == "0")
    #expect(metadata?["recipe"] == (try saved.optimizer.recipeText().string))
    let m = header?["state/ä/\"1\"/vmax"] as? [String: Any]
    #expect(m?["dtype"] as? String == "F32" && m?["shape"] as? [Int] == [3, 2])
    #expect((header?["param/c"] as? [String: Any])?["dtype"] as? String == "BF16")
    #expect(header?.count == 16)  // metadata, five tensors, three times three slots and one
  }

  @Test func aFileThatIsCutShortAnywhereIsRefusedAndNothingChanges() throws {
    let source = try model()
    try source.optimizer.prepare()
    source.optimizer.step = 7
    let bytes = try saved(source)
    let target = try model()
    for n in stride(from: 0, to: bytes.count, by: 7) {
      let error = try withFile(Array(bytes.prefix(n))) { path in
        failure { _ = try target.optimizer.load(path, LoadOptions()) }
      }
      #expect(error?.status == RVN_ERR_FORMAT, "\(n) of \(bytes.count) bytes")
    }
    #expect(target.optimizer.step == 0)
    try withFile(bytes) { _ = try target.optimizer.load($0, LoadOptions()) }
    #expect(target.optimizer.step == 7)
  }

  @Test func countersThatAreNoCountsAreRefused() throws {
    for (name, value) in [
      ("step", ""), ("step", "-1"), ("step", "1.5"), ("step", "x"),
      ("step", "99999999999999999999"),
      ("skips", " 1"), ("step/w", "1e3"),
    ] {
      let metadata = ["step": "1", "skips": "0", "step/w": "1"].merging([name: value]) { $1 }
      let text = metadata.map { "\"\($0)\":\"\($1)\"" }.joined(separator: ",")
      let bytes = file(
        "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\(text)},"
          + "\"param/w\":\(record("F32", "[1]", "0", "4"))}", 4)
      let target = try Model("sgd")
      try target.add("w", [1])
      let error = try withFile(bytes) { path in
        failure { _ = try target.optimizer.load(path, LoadOptions()) }
      }
      #expect(error?.status == RVN_ERR_FORMAT, "\(name) = '\(value)'")
      #expect(target.values(0) == [1])
    }
  }
}
