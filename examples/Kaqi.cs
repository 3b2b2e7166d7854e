// A POS's client for the kaqi agent on this machine: one file, to be copied.
//
// kaqi's own tests have no .NET: this file was never compiled or run there. What it sends
// is the same as in examples/activate.sh, which is.
//
// .NET 6 or newer, or .NET Framework 4.6.2 with the package System.Text.Json.
//
//     using var kaqi = new Kaqi(token);                    // from: kaqi pair
//     var transaction = await kaqi.StartAsync("pharmacy", posRef: "4711");
//     while (!Kaqi.HasEnded(transaction)) {
//         Show(Kaqi.Instruction(transaction, "zh-CN"));
//         transaction = Kaqi.Allows(transaction, "confirm") && ClerkSaysYes(transaction)
//             ? await kaqi.ActAsync(transaction, "confirm")
//             : await kaqi.NextAsync(transaction);
//     }
//     await kaqi.ActAsync(transaction, "acknowledge");     // once the sale has the result

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;

/// <summary>The agent refused: branch on Code; Problem has messages and remedy for people.</summary>
public sealed class KaqiException : Exception
{
    public readonly int Status;
    public readonly string Code;
    public readonly JsonElement Problem;

    public KaqiException(int status, JsonElement problem)
        : base(problem.GetProperty("code").GetString())
    {
        Status = status;
        Code = Message;
        Problem = problem;
    }
}

/// <summary>Whoever answers does not know our token. It was not sent.</summary>
public sealed class KaqiImpostorException : Exception { }

/// <summary>The agent, as one paired client. Not for several threads at once.</summary>
public sealed class Kaqi : IDisposable
{
    const int Tries = 3;
    static readonly TimeSpan Quiet = TimeSpan.FromSeconds(4); // the agent hangs up after 5
    static readonly string[] Ended = { "succeeded", "failed", "cancelled", "expired" };

    readonly HttpClient http;
    readonly string token;
    readonly string host;
    readonly Stopwatch heard = new Stopwatch();

    public Kaqi(string token, string host = "127.0.0.1:15274")
    {
        this.token = token;
        this.host = host;
        var direct = new HttpClientHandler { UseProxy = false, AllowAutoRedirect = false, UseCookies = false };
        http = new HttpClient(direct)
        {
            BaseAddress = new Uri("http://" + host),
            Timeout = TimeSpan.FromSeconds(40),
        };
    }

    public void Dispose() => http.Dispose();

    /// <summary>Start an activation. Keep the key with the sale: the same key finds the same
    /// transaction again.</summary>
    public Task<JsonElement> StartAsync(string scenario, string posRef = null, string key = null)
    {
        var body = new Dictionary<string, object>
        {
            ["kind"] = "activation",
            ["scenario"] = scenario,
            ["pos_ref"] = posRef,
        };
        return PostAsync("/v1/transactions", body, key);
    }

    /// <summary>Wait until something changes, or 25 s.</summary>
    public Task<JsonElement> NextAsync(JsonElement transaction)
    {
        var seq = transaction.GetProperty("seq").GetInt32();
        return CallAsync(HttpMethod.Get, PathOf(transaction) + "?wait=25&after_seq=" + seq);
    }

    /// <summary>confirm, cancel, continue or acknowledge.</summary>
    public Task<JsonElement> ActAsync(JsonElement transaction, string action, string key = null)
    {
        return PostAsync(PathOf(transaction) + "/" + action, new Dictionary<string, object>(), key);
    }

    /// <summary>What the holder typed for this snapshot; it is presented once.</summary>
    public Task<JsonElement> PinAsync(JsonElement transaction, string pin, string newPin = null)
    {
        var body = new Dictionary<string, object>
        {
            ["pin"] = pin,
            ["new_pin"] = newPin,
            ["seq"] = transaction.GetProperty("seq").GetInt32(),
        };
        return PostAsync(PathOf(transaction) + "/pin", body, null);
    }

    public static bool HasEnded(JsonElement transaction) =>
        Ended.Contains(transaction.GetProperty("state").GetString());

    public static bool Allows(JsonElement transaction, string action) =>
        transaction.GetProperty("allowed_actions").EnumerateArray().Any(each => each.GetString() == action);

    public static string Instruction(JsonElement transaction, string language) =>
        transaction.GetProperty("step").GetProperty("text").GetProperty(language).GetString();

    /// <summary>Proof("pos~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    /// "000102030405060708090a0b0c0d0e0f", "127.0.0.1:15274") is
    /// a00db615a9d1d64024da05a3258977ea98d4b23fa87c0782843c39c07cde6c34.</summary>
    public static string Proof(string token, string nonce, string host)
    {
        using (var sha = SHA256.Create())
        using (var hmac = new HMACSHA256(sha.ComputeHash(Encoding.UTF8.GetBytes(token))))
        {
            return Hex(hmac.ComputeHash(Encoding.UTF8.GetBytes("kaqi-hello\n" + nonce + "\n" + host)));
        }
    }

    /// <summary>Send until an answer comes, always with the same key.</summary>
    async Task<JsonElement> PostAsync(string path, object body, string key)
    {
        key = key ?? Guid.NewGuid().ToString("N");
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await CallAsync(HttpMethod.Post, path, body, key);
            }
            catch (Exception lost) when (IsSilence(lost) && attempt < Tries)
            {
                heard.Reset();
            }
        }
    }

    async Task<JsonElement> CallAsync(HttpMethod method, string path, object body = null, string key = null)
    {
        try
        {
            await ProveAsync();
            var found = await SendAsync(method, path, body, key, token);
            heard.Restart();
            return found;
        }
        catch (Exception lost) when (IsSilence(lost))
        {
            heard.Reset(); // somebody else may have the port now
            throw;
        }
    }

    async Task ProveAsync()
    {
        if (heard.IsRunning && heard.Elapsed < Quiet) return;
        var random = new byte[32];
        using (var source = RandomNumberGenerator.Create()) source.GetBytes(random);
        var nonce = Hex(random);
        var body = new Dictionary<string, object> { ["client_id"] = token.Split('~')[0], ["nonce"] = nonce };
        var answer = await SendAsync(HttpMethod.Post, "/v1/hello", body, null, null);
        var isKaqi = answer.TryGetProperty("proof", out var told) && told.GetString() == Proof(token, nonce, host);
        if (!isKaqi) throw new KaqiImpostorException();
        heard.Restart();
    }

    async Task<JsonElement> SendAsync(HttpMethod method, string path, object body, string key, string bearer)
    {
        using (var request = new HttpRequestMessage(method, path))
        {
            if (bearer != null) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", bearer);
            if (key != null) request.Headers.Add("Idempotency-Key", key);
            if (body != null)
            {
                request.Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
            }
            using (var answer = await http.SendAsync(request))
            using (var found = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()))
            {
                if (answer.IsSuccessStatusCode) return found.RootElement.Clone();
                throw new KaqiException((int)answer.StatusCode, found.RootElement.Clone());
            }
        }
    }

    static bool IsSilence(Exception failed) => failed is HttpRequestException || failed is TaskCanceledException;

    static string PathOf(JsonElement transaction) => "/v1/transactions/" + transaction.GetProperty("id").GetString();

    static string Hex(byte[] bytes) => BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
}
